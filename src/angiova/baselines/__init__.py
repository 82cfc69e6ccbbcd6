"""What a new model has to beat: a Frangi filter, convolutional networks, nnU-Net; opened and asked like a model."""
