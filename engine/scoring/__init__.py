"""The model file reader, the scorer and the file scoring job."""
