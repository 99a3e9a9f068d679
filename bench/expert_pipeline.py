"""The page an expert writes today: Polars streaming, one fused graph in onnxruntime, Parquet with zstd.

``python expert_pipeline.py FLOWS.csv PEER_FOLDER OUT.parquet THREADS all|scores``

A peer of the benchmarks: it knows nothing of netsieve and imports nothing of it. It runs the very model file that
netsieve runs, encodes the categories itself, and writes the same columns with the same codec. Nothing is checked:
a ragged line or a text in a number column ends it, or becomes null silently.
"""

import json
import os
import sys

flows, folder, out, threads, keep = sys.argv[1:6]
os.environ["POLARS_MAX_THREADS"] = threads

import numpy as np  # noqa: E402
import onnxruntime as ort  # noqa: E402
import polars as pl  # noqa: E402

BATCH = 4096
KINDS = {"integer": pl.Int64, "float": pl.Float64, "boolean": pl.Boolean, "string": pl.String,
         "datetime": pl.String}  # fmt: skip

with open(f"{folder}/preparation.json") as file:
    preparation = json.load(file)
options = ort.SessionOptions()
options.intra_op_num_threads = 1  # batches come from several Polars threads at once; one each is fastest
session = ort.InferenceSession(f"{folder}/model.onnx", options, providers=["CPUExecutionProvider"])

with open(flows) as file:
    header = file.readline().strip().split(",")
columns = {name: KINDS[preparation["columns"].get(name, "string")] for name in header}
encoded = []
for name in preparation["features"]:
    codes = next((f["codes"] for f in preparation["categorical"] if f["name"] == name), None)
    column = pl.col(name)
    if codes is not None:
        known = [int(text) for text in codes] if columns[name] == pl.Int64 else list(codes)
        column = column.replace_strict(known, list(codes.values()), default=1, return_dtype=pl.Float32).fill_null(0)
    encoded.append(column.cast(pl.Float32).fill_null(float("nan")))


def score(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the score and the decision to a batch of flows."""
    x = frame.select(encoded).to_numpy(order="c")
    scores = np.empty(len(x), dtype=np.float32)
    for i in range(0, len(x), BATCH):
        scores[i : i + BATCH] = session.run(["score"], {"x": x[i : i + BATCH]})[0]
    frame = frame.with_columns(anomaly_score=scores, is_anomaly=scores > preparation["threshold"])
    return frame if keep == "all" else frame.select("source_file", "row_index", "anomaly_score", "is_anomaly")


source = pl.scan_csv(flows, schema=columns, row_index_name="row_index", include_file_paths="source_file")
result = {**source.collect_schema(), "anomaly_score": pl.Float32(), "is_anomaly": pl.Boolean()}
if keep == "scores":
    result = {name: result[name] for name in ("source_file", "row_index", "anomaly_score", "is_anomaly")}
scored = source.map_batches(score, schema=result, streamable=True)
scored.sink_parquet(out, compression="zstd", engine="streaming")
