"""Separate source and channel coding of captions and embeddings: what semantic codecs are compared with."""
