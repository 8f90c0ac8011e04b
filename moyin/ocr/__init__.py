"""Reading images back: OCR engines, and the scorers, which are pure functions over strings."""
