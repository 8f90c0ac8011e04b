"""OCR engines, text scores, and colour and place detectors: functions of strings and pixels."""
