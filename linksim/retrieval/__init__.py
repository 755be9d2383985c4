"""Data sets for retrieval by text: galleries of pictures, sounds or motions, and captions that ask for their items."""
