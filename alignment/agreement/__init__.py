"""How well people's rankings agree, and where they lean: agreement, bias and quality. Pure functions of labels."""
