"""The web chat's protocol: frames in, known shapes, frames out. Pure."""
