"""Where recordings and the catalogue of them are kept."""
