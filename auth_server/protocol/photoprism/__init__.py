"""The other wire protocol: PhotoPrism's session and token API."""
