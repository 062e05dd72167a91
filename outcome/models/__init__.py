"""Networks: patches and report chunks in, one log hazard or logit per patient out."""
