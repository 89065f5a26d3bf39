"""From pixels to faces: decode, detect, align, embed."""
