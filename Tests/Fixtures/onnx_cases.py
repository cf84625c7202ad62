"""Writes the node test cases of the installed onnx package as folders, as libonnx-testdata has them.

    onnx_cases.py FOLDER      FOLDER/node/NAME/model.onnx and test_data_set_0/{input,output}_0.pb

Cases with sequences or optional values have no such form and are left out.
"""

import pathlib
import sys
import warnings

import numpy
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases


def write_tensors(folder, kind, values, infos):
    for index, value in enumerate(values):
        if not isinstance(value, TensorProto):
            value = numpy_helper.from_array(numpy.asarray(value), infos[index].name)
        (folder / f"{kind}_{index}.pb").write_bytes(value.SerializeToString())


def is_tensor(value):
    return value is not None and not isinstance(value, (list, dict))


def main():
    warnings.filterwarnings("ignore")
    root = pathlib.Path(sys.argv[1]) / "node"
    count = 0
    for case in collect_testcases(None):
        sets = [(tuple(inputs), tuple(outputs)) for inputs, outputs in case.data_sets]
        if not all(is_tensor(value) for pair in sets for values in pair for value in values):
            continue
        for number, (inputs, outputs) in enumerate(sets):
            folder = root / case.name / f"test_data_set_{number}"
            folder.mkdir(parents=True, exist_ok=True)
            write_tensors(folder, "input", inputs, case.model.graph.input)
            write_tensors(folder, "output", outputs, case.model.graph.output)
        (root / case.name / "model.onnx").write_bytes(case.model.SerializeToString())
        count += 1
    print(count)


main()
