internal import BillhookGraph
internal import BillhookPlugins
internal import BillhookTensor
internal import OrderedCollections

/// The standard operators that make floats of a stored weight again.
///
///     affine:   codes → DequantizeLinear
///     codebook: codes → Cast → Gather(table) → Mul(scale)
///
/// Codes of 1, 2 or 4 bits lie several to a byte and are taken apart first by two BitShifts: to the
/// left, so that what lies above falls out, and back to the right. Blocks over the whole tensor are
/// rows of a matrix, the last one by itself when it is shorter.
extension QuantizationStage {
  /// Nodes that compute `output` from the integers, which become initializers.
  mutating func decode(_ quantized: QuantizedWeight, output: String) -> [Node] {
    let layout = quantized.layout
    let shape = quantized.integers.shape
    var nodes: [Node] = []
    guard case .block(nil, let size) = layout.granularity else {
      restore(quantized, quantized.parameters, shape: shape, output: output, &nodes)
      return nodes
    }
    let count = quantized.integers.count
    let flat = quantized.integers.reshaped([count])
    let whole = count / size
    let scales = quantized.parameters.scale
    let zeros = quantized.parameters.zeroPoint
    var parts: [String] = []
    for (range, rows) in [(0..<whole * size, whole), (whole * size..<count, 1)] where !range.isEmpty
    {
      var part = quantized
      part.integers = flat.rows(range).copied().reshaped([rows, range.count / rows])
      part.layout.granularity = .axis(0)
      let first = range.lowerBound / size
      part.parameters.scale = scales.rows(first..<first + rows).copied()
      if layout.formula == .affine {
        part.parameters.zeroPoint = zeros.rows(first..<first + rows).copied()
      }
      let matrix = names.unused("\(output)_blocks")
      restore(part, part.parameters, shape: part.integers.shape, output: matrix, &nodes)
      parts.append(matrix)
    }
    if parts.count > 1 {
      let rows = parts.map { part in
        let row = names.unused("\(part)_row")
        nodes.append(reshape(part, [-1], output: row))
        return row
      }
      let joined = names.unused("\(output)_joined")
      nodes.append(
        Node(
          "Concat", name: names.unused("\(output)_join"), inputs: rows, outputs: [joined],
          attributes: ["axis": .int(0)]))
      parts = [joined]
    }
    nodes.append(reshape(parts[0], shape, output: output))
    return nodes
  }

  private mutating func restore(
    _ quantized: QuantizedWeight, _ parameters: QuantizationParameters, shape: [Int],
    output: String, _ nodes: inout [Node]
  ) {
    let layout = quantized.layout
    let (codes, bias) = codes(quantized.integers, layout, base: output, &nodes)
    if layout.formula == .affine {
      var zeroPoint = parameters.zeroPoint
      if bias != 0 {
        let shifted = (zeroPoint.integers() ?? []).map { UInt8($0 + bias) }
        zeroPoint = Tensor(shifted, shape: zeroPoint.shape)
      }
      var attributes: OrderedDictionary<String, Attribute> = [:]
      switch layout.granularity {
      case .tensor: break
      case .axis(let axis): attributes["axis"] = .int(axis)
      case .block(let axis, let size):
        attributes["axis"] = .int(axis ?? 0)
        attributes["block_size"] = .int(size)
      }
      let inputs = [
        codes, add("\(output)_scale", parameters.scale), add("\(output)_zero_point", zeroPoint),
      ]
      nodes.append(
        Node(
          "DequantizeLinear", name: names.unused("\(output)_dequantize"), inputs: inputs,
          outputs: [output], attributes: attributes))
      return
    }
    // A block of an axis is an axis of its own, so that one scale spreads over it.
    var (wide, scaleShape) = (shape, [Int](repeating: 1, count: shape.count))
    switch layout.granularity {
    case .tensor: scaleShape = []
    case .axis(let axis): scaleShape[axis] = shape[axis]
    case .block(let axis, let size):
      let axis = axis ?? 0
      wide = Array(shape[..<axis]) + [shape[axis] / size, size] + shape[(axis + 1)...]
      scaleShape = Array(shape[..<axis]) + [shape[axis] / size, 1] + shape[(axis + 1)...]
    }
    var indices = codes
    if wide != shape {
      indices = names.unused("\(output)_wide")
      nodes.append(reshape(codes, wide, output: indices))
    }
    let cast = names.unused("\(output)_indices")
    nodes.append(
      Node(
        "Cast", name: names.unused("\(output)_cast"), inputs: [indices], outputs: [cast],
        attributes: ["to": .int(Int(ElementType.int32.rawValue))]))
    let levels = names.unused("\(output)_levels")
    nodes.append(
      Node(
        "Gather", name: names.unused("\(output)_look_up"),
        inputs: [add("\(output)_table", parameters.table ?? Tensor(zeros: [0])), cast],
        outputs: [levels], attributes: ["axis": .int(0)]))
    let product = wide == shape ? output : names.unused("\(output)_scaled")
    nodes.append(
      Node(
        "Mul", name: names.unused("\(output)_scale_levels"),
        inputs: [levels, add("\(output)_scale", parameters.scale.reshaped(scaleShape))],
        outputs: [product]))
    if wide != shape { nodes.append(reshape(product, shape, output: output)) }
  }

  /// The integers as a value in the graph, and what was added to each so that it is not negative.
  private mutating func codes(
    _ integers: Tensor, _ layout: QuantizationLayout, base: String, _ nodes: inout [Node]
  ) -> (value: String, bias: Int) {
    let bits = layout.naturalBits
    let perByte = 8 / bits
    guard bits < 8, integers.count % perByte == 0 else {
      return (add("\(base)_quantized", integers), 0)
    }
    let bias = layout.elementType == .int8 ? 1 << (bits - 1) : 0
    let numbers = (integers.integers() ?? []).map { UInt8($0 + bias) }
    let bytes = BitPacking(bits: bits).pack(numbers, rowCount: numbers.count)
    let packed = add("\(base)_packed", Tensor(bytes, shape: [bytes.count, 1]))
    let places = (0..<perByte).map { UInt8(8 - bits * ($0 + 1)) }
    let shifts = add("\(base)_places", Tensor(places, shape: [1, perByte]))
    let left = names.unused("\(base)_left")
    let right = names.unused("\(base)_right")
    let codes = names.unused("\(base)_codes")
    nodes += [
      Node(
        "BitShift", name: names.unused("\(base)_shift_left"), inputs: [packed, shifts],
        outputs: [left], attributes: ["direction": .string(Array("LEFT".utf8))]),
      Node(
        "BitShift", name: names.unused("\(base)_shift_right"),
        inputs: [left, add("\(base)_spare_bits", Tensor([UInt8(8 - bits)], shape: [1, 1]))],
        outputs: [right], attributes: ["direction": .string(Array("RIGHT".utf8))]),
      reshape(right, integers.shape, output: codes),
    ]
    return (codes, bias)
  }

  private mutating func reshape(_ input: String, _ shape: [Int], output: String) -> Node {
    Node(
      "Reshape", name: names.unused("\(output)_reshape"),
      inputs: [input, add("\(output)_shape", Tensor(shape.map { Int64($0) }))], outputs: [output])
  }
}

extension QuantizationLayout {
  /// The operator set that the decoding needs.
  var neededOpset: Int {
    if case .block(.some, _) = granularity, formula == .affine { return 21 }
    return 13
  }
}
