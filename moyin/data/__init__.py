"""From raw images to a dataset: readers, filters, a manifest."""
