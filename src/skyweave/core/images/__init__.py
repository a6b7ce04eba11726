"""Arrays as images: PNG, true colour, false colour by principal components."""
