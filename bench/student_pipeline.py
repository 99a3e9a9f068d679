"""The pipeline a student writes: pandas, a scaler of scikit-learn, batches of 32 through PyTorch, to_csv.

``python student_pipeline.py FLOWS.csv PEER_FOLDER OUT.csv``

A peer of the benchmarks: it knows nothing of netsieve and imports nothing of it. ``PEER_FOLDER`` holds the same
trained network and the same preparation that netsieve's model file has (see ``peer_model.py``), so the scores
must agree. The threshold is the mean of the scores plus three deviations.
"""

import json
import sys

import numpy as np
import pandas as pd
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

flows, folder, out = sys.argv[1:4]
with open(f"{folder}/preparation.json") as file:
    preparation = json.load(file)
weights = np.load(f"{folder}/network.npz")

df = pd.read_csv(flows)

# Preparation: signed log, scaling, soft clip, missing values, one-hot and rarity of categories.
numeric = preparation["numeric"]
values = df[[feature["name"] for feature in numeric]].to_numpy(dtype=float)
missing = np.isnan(values)
heavy = [i for i, feature in enumerate(numeric) if feature["signed_log"]]
values[:, heavy] = np.sign(values[:, heavy]) * np.log1p(np.abs(values[:, heavy]))
scaler = StandardScaler()
scaler.mean_ = np.array([feature["center"] for feature in numeric])
scaler.scale_ = np.array([feature["scale"] for feature in numeric])
scaler.n_features_in_ = len(numeric)
values = scaler.transform(values)
limit = preparation["soft_clip"]
beyond = np.maximum(np.abs(values) - limit, 0)
values = np.clip(values, -limit, limit) + np.sign(values) * np.log1p(beyond)
values = np.where(missing, [feature["fill"] for feature in numeric], values)
columns = [values, missing[:, [i for i, feature in enumerate(numeric) if feature["missing_indicator"]]]]
for feature in preparation["categorical"]:
    text = df[feature["name"]].astype("string")
    codes = np.where(text.isna(), 0, text.map(feature["codes"]).fillna(1)).astype(int)
    width = feature["width"]
    columns.append(np.array(feature["rarity"])[codes][:, None])
    columns.append(np.eye(width)[np.minimum(codes, width - 1)])
X = np.hstack(columns)


def network(part: str) -> nn.Sequential:
    """Build the encoder or the decoder from its weights."""
    layers: list[nn.Module] = []
    for i, activation in enumerate(preparation[part]):
        weight = torch.tensor(weights[f"{part}.{i}.weight"]).T
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.weight.data, layer.bias.data = weight, torch.tensor(weights[f"{part}.{i}.bias"])
        layers.append(layer)
        if activation != "linear":
            layers.append(nn.LeakyReLU(0.01) if activation == "leaky_relu" else nn.ReLU())
    return nn.Sequential(*layers).eval()


encoder, decoder = network("encoder"), network("decoder")
error_weight = torch.tensor(weights["error_weight"])
latent_center, latent_whitening = torch.tensor(weights["latent_center"]), torch.tensor(weights["latent_whitening"])

loader = DataLoader(TensorDataset(torch.tensor(X, dtype=torch.float32)), batch_size=32, shuffle=False)
errors = []
with torch.no_grad():
    for (batch,) in loader:
        code = encoder(batch)
        error = torch.log1p((decoder(code) - batch) ** 2 * error_weight).sum(dim=1)
        distance = torch.log1p((((code - latent_center) @ latent_whitening) ** 2).sum(dim=1))
        errors.extend(((error + distance) / batch.shape[1]).numpy())
scores = np.array(errors)

threshold = scores.mean() + 3 * scores.std()
df["anomaly_score"] = scores
df["is_anomaly"] = (scores > threshold).astype(int)
df.to_csv(out, index=False)
print(len(df), "rows, threshold", threshold, "flagged", int(df["is_anomaly"].sum()))
