"""The thousand columns in TensorFlow, in a process of its own: `python many_columns_tf.py SCALE THREADS`.

Reads lines `ROWS SECONDS` and answers each with JSON: the scores of the first rows, and the times of its calls in seconds. One chain of
operators for each column, as tf.feature_column made them; strings are TensorFlow's own before the clock starts.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import many_columns as model
import numpy as np
import tensorflow as tf


class Peer(tf.Module):
    """The model as one function of all columns."""

    def __init__(self, chosen: list[model.Column]):
        super().__init__()
        self.chosen = chosen
        self.tables = [tf.Variable(model.table(column)) for column in chosen]
        self.layers = [(tf.Variable(w), tf.Variable(b)) for w, b in model.weights(chosen)]
        self.score = tf.function(self._score)

    def inputs(self, rows: int) -> list[tf.Tensor]:
        """The columns as tensors: one each, and the row of each value behind those of lists."""
        found = []
        for column, array in zip(self.chosen, model.items(self.chosen, rows).columns, strict=True):
            if column.kind == "texts":
                found.append(tf.constant(array.flatten().to_pylist()))
                lengths = np.diff(array.offsets.to_numpy())
                found.append(tf.constant(np.repeat(np.arange(rows), lengths).astype(np.int32)))
            else:
                found.append(tf.constant(array.to_pylist() if column.kind == "text" else array.to_numpy()))
        return found

    def _score(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        parts, given = [], iter(inputs)
        rows = tf.shape(inputs[0])[0]
        for column, table in zip(self.chosen, self.tables, strict=True):
            x = next(given)
            if column.kind == "number":
                parts.append(tf.gather(table, tf.raw_ops.Bucketize(input=x, boundaries=model.boundaries(column))))
                continue
            ids = tf.strings.to_hash_bucket_fast(tf.strings.as_string(x) if column.kind == "integer" else x, column.rows)
            if column.kind == "texts":
                values = tf.gather(table, ids)
                parts.append(tf.sparse.segment_mean(values, tf.range(tf.size(ids)), next(given), num_segments=rows))
            else:
                parts.append(tf.gather(table, ids))
        x = tf.concat(parts, axis=1)
        for k, (weight, bias) in enumerate(self.layers):
            x = tf.linalg.matmul(x, weight) + bias
            x = tf.nn.relu(x) if k + 1 < len(self.layers) else tf.sigmoid(x)
        return x[:, 0]


def main() -> None:
    """Answer lines until there are no more."""
    threads = int(sys.argv[2])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    peer, known = Peer(model.columns(float(sys.argv[1]))), {}
    print(json.dumps({"version": tf.__version__}), flush=True)
    for line in sys.stdin:
        rows, seconds = int(line.split()[0]), float(line.split()[1])
        if rows not in known:
            known[rows] = peer.inputs(rows)
            for _ in range(3):
                peer.score(known[rows])
        scores = peer.score(known[rows]).numpy()
        times, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end or len(times) < 3:
            started = time.perf_counter()
            peer.score(known[rows]).numpy()
            times.append(time.perf_counter() - started)
        print(json.dumps({"scores": scores[:64].tolist(), "times": times}), flush=True)


if __name__ == "__main__":
    main()
