"""Writes the sentence encoder all-MiniLM-L6-v2 as ONNX, in the form that PyTorch exports BERT in.

minilm.py CHECKPOINT.safetensors OUT.onnx

Inputs input_ids, attention_mask, token_type_ids, int64 [batch, sequence]; outputs last_hidden_state
[batch, sequence, 384] and sentence_embedding [batch, 384]: the mean over the tokens that the mask
keeps, of length 1.
"""

import json
import sys

import numpy
from onnx import TensorProto, checker, helper, numpy_helper, save

HEADS = 12


def tensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    header.pop("__metadata__", None)
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        kind = {"F32": "<f4", "F16": "<f2", "I64": "<i8"}[entry["dtype"]]
        yield name, numpy.frombuffer(data[begin:end], kind).reshape(entry["shape"])


class Builder:
    def __init__(self, weights):
        self.weights = weights
        self.nodes = []
        self.initializers = {}

    def constant(self, name, value):
        self.initializers[name] = numpy_helper.from_array(numpy.ascontiguousarray(value), name)
        return name

    def weight(self, name):
        return self.constant(name, self.weights[name].astype("f4"))

    def node(self, op, name, inputs, **attributes):
        output = f"{name}_output"
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        return output

    def linear(self, name, x):
        matrix = self.constant(f"{name}.weight", self.weights[f"{name}.weight"].astype("f4").T)
        product = self.node("MatMul", f"{name}/MatMul", [x, matrix])
        return self.node("Add", f"{name}/Add", [product, self.weight(f"{name}.bias")])

    def norm(self, name, x):
        inputs = [x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias")]
        return self.node(
            "LayerNormalization", f"{name}/LayerNormalization", inputs, axis=-1, epsilon=1e-12)

    def heads(self, name, x, order):
        split = self.node("Reshape", f"{name}/Reshape", [x, "heads"])
        return self.node("Transpose", f"{name}/Transpose", [split], perm=order)


def layer(b, index, x, mask):
    name = f"encoder.layer.{index}"
    own = f"{name}.attention.self"
    query = b.heads(f"{own}.query", b.linear(f"{own}.query", x), [0, 2, 1, 3])
    key = b.heads(f"{own}.key", b.linear(f"{own}.key", x), [0, 2, 3, 1])
    value = b.heads(f"{own}.value", b.linear(f"{own}.value", x), [0, 2, 1, 3])
    scores = b.node("MatMul", f"{own}/MatMul", [query, key])
    scores = b.node("Div", f"{own}/Div", [scores, "root"])
    scores = b.node("Add", f"{own}/Add", [scores, mask])
    shares = b.node("Softmax", f"{own}/Softmax", [scores], axis=-1)
    mixed = b.node("MatMul", f"{own}/MatMul_1", [shares, value])
    mixed = b.node("Transpose", f"{own}/Transpose", [mixed], perm=[0, 2, 1, 3])
    mixed = b.node("Reshape", f"{own}/Reshape", [mixed, "joined"])
    attended = b.linear(f"{name}.attention.output.dense", mixed)
    attended = b.node("Add", f"{name}.attention.output/Add", [attended, x])
    attended = b.norm(f"{name}.attention.output.LayerNorm", attended)
    inner = b.linear(f"{name}.intermediate.dense", attended)
    # GELU in the five nodes that it is exported as before operator set 20.
    scaled = b.node("Div", f"{name}.intermediate/Div", [inner, "root2"])
    error = b.node("Erf", f"{name}.intermediate/Erf", [scaled])
    raised = b.node("Add", f"{name}.intermediate/Add", [error, "one"])
    product = b.node("Mul", f"{name}.intermediate/Mul", [inner, raised])
    active = b.node("Mul", f"{name}.intermediate/Mul_1", [product, "half"])
    outer = b.linear(f"{name}.output.dense", active)
    outer = b.node("Add", f"{name}.output/Add", [outer, attended])
    return b.norm(f"{name}.output.LayerNorm", outer)


def main(source, target):
    weights = dict(tensors(source))
    if not any(name.startswith("encoder.") for name in weights):
        weights = {name.split(".", 1)[1]: value for name, value in weights.items()}
    b = Builder(weights)
    width = weights["embeddings.word_embeddings.weight"].shape[1]
    for name, value in {
        "root": (width / HEADS) ** 0.5, "root2": 2**0.5, "one": 1, "half": 0.5, "lowest": -1e9,
        "tiny": 1e-12,
    }.items():
        b.constant(name, numpy.float32(value))
    for name, value in {
        "heads": [0, 0, HEADS, width // HEADS], "joined": [0, 0, width], "middle": [1, 2],
        "last": [2], "first": [0], "second": [1], "two": [2], "rows": [1],
    }.items():
        b.constant(name, numpy.array(value, "i8"))
    words = b.weight("embeddings.word_embeddings.weight")
    kinds = b.weight("embeddings.token_type_embeddings.weight")
    places = b.weight("embeddings.position_embeddings.weight")
    x = b.node("Gather", "embeddings/words", [words, "input_ids"])
    x = b.node("Add", "embeddings/Add", [
        x, b.node("Gather", "embeddings/kinds", [kinds, "token_type_ids"])])
    shape = b.node("Shape", "embeddings/Shape", ["input_ids"])
    length = b.node("Slice", "embeddings/length", [shape, "second", "two"])
    positions = b.node("Slice", "embeddings/Slice", [places, "first", length, "first"])
    x = b.node("Add", "embeddings/Add_1", [x, positions])
    x = b.norm("embeddings.LayerNorm", x)
    kept = b.node("Cast", "mask/Cast", ["attention_mask"], to=TensorProto.FLOAT)
    wide = b.node("Unsqueeze", "mask/Unsqueeze", [kept, "middle"])
    lost = b.node("Sub", "mask/Sub", ["one", wide])
    mask = b.node("Mul", "mask/Mul", [lost, "lowest"])
    for index in range(sum(name.endswith("intermediate.dense.bias") for name in weights)):
        x = layer(b, index, x, mask)
    b.nodes[-1].output[0] = x = "last_hidden_state"
    column = b.node("Unsqueeze", "pool/Unsqueeze", [kept, "last"])
    total = b.node("ReduceSum", "pool/ReduceSum", [
        b.node("Mul", "pool/Mul", [x, column]), "rows"], keepdims=0)
    count = b.node("ReduceSum", "pool/ReduceSum_1", [column, "rows"], keepdims=0)
    mean = b.node("Div", "pool/Div", [total, count])
    length = b.node("ReduceL2", "pool/ReduceL2", [mean], axes=[1], keepdims=1)
    floor = b.node("Max", "pool/Max", [length, "tiny"])
    b.nodes.append(
        helper.make_node("Div", [mean, floor], ["sentence_embedding"], name="pool/Div_1"))
    tokens = ["batch", "sequence"]
    graph = helper.make_graph(
        b.nodes, "all-MiniLM-L6-v2",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, tokens)
            for name in ("input_ids", "attention_mask", "token_type_ids")
        ],
        [
            helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, tokens + [width]),
            helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", width]),
        ],
        list(b.initializers.values()))
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
        producer_name="billhook-tests")
    checker.check_model(model, full_check=True)
    save(model, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
