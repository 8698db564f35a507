"""Models: what composes networks, objectives and samplers into a `WorldModel`."""
