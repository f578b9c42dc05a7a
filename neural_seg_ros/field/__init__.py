"""The convolutional neural field and its fit."""
