"""Report embeddings: texts read, redacted, cut into chunks and encoded; or vectors from a file.

In: a table or folder of texts, or an HDF5 file. Out: one small bag of vectors per patient.
"""
