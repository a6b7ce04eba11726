"""The makers of multispectral rigs: raw values to radiance, and light sensors to irradiance."""
