"""What a generative model of disordered crystals needs beside its network."""
