"""The trained autoencoder as a PyTorch module that takes raw numbers: what its author would run without exporting."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from netsieve.engine.detectors.autoencoder import Autoencoder
from netsieve.engine.detectors.dense_autoencoder import NEGATIVE_SLOPE, DenseLayer


class PreparedAutoencoder(nn.Module):
    """Preparation of numeric features without missing values, network and score in one module."""

    def __init__(self, detector: Autoencoder) -> None:
        super().__init__()
        schema, network = detector.schema, detector.network
        if schema is None or network is None or network.aggregation != "log_mean" or schema.categorical:
            raise ValueError("this peer needs a trained autoencoder of numeric features with the default score")
        if network.latent_center is None or network.latent_whitening is None:
            raise ValueError("this peer needs an autoencoder with the latent distance in its score")
        features = [feature for _, feature in schema.numeric]
        self.limit = schema.soft_clip
        self.heavy = nn.Buffer(torch.tensor([feature.signed_log for feature in features]))
        self.center = nn.Buffer(torch.tensor([feature.center for feature in features]))
        self.scale = nn.Buffer(torch.tensor([feature.scale for feature in features]))
        self.encoder = _layers(network.encoder)
        self.decoder = _layers(network.decoder)
        self.error_weight = nn.Buffer(torch.from_numpy(network.error_weight))
        self.latent_center = nn.Buffer(torch.from_numpy(network.latent_center))
        self.latent_whitening = nn.Buffer(torch.from_numpy(network.latent_whitening))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of raw records, ``[n]``."""
        x = torch.where(self.heavy, torch.sign(x) * torch.log1p(torch.abs(x)), x)
        z = (x - self.center) / self.scale
        inner = z.clamp(-self.limit, self.limit)
        z = inner + torch.sign(z) * torch.log1p(torch.abs(z - inner))
        code = self.encoder(z)
        error = torch.log1p(torch.square(self.decoder(code) - z) * self.error_weight).sum(dim=1)
        distance = torch.square((code - self.latent_center) @ self.latent_whitening).sum(dim=1)
        return (error + torch.log1p(distance)) / x.shape[1]


def prepared_autoencoder(detector: Autoencoder) -> PreparedAutoencoder:
    """Return the module of a trained autoencoder, ready to score.

    Raises
    ------
    ValueError
        The detector is untrained, has categories, or another score than the default.
    """
    return PreparedAutoencoder(detector).eval()


def _layers(layers: tuple[DenseLayer, ...]) -> nn.Sequential:
    modules: list[nn.Module] = []
    for layer in layers:
        linear = nn.Linear(*layer.weight.shape)
        linear.weight.data = torch.from_numpy(layer.weight.T.copy())
        linear.bias.data = torch.from_numpy(layer.bias)
        modules.append(linear)
        if layer.activation != "linear":
            modules.append(nn.LeakyReLU(NEGATIVE_SLOPE) if layer.activation == "leaky_relu" else nn.ReLU())
    return nn.Sequential(*modules)
