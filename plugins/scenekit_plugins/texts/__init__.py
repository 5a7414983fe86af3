"""Tokenizers and decoders of texts, which several tasks generate."""
