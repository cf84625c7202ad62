public import BillhookPlugins
public import BillhookTensor
public import OrderedCollections

/// A quantized tensor as a checkpoint holds it.
enum StoredWeight {
  /// The tensors that the file gets: `NAME`, and what its formula needs, as `NAME.scale`.
  static func tensors(
    _ name: String, _ quantized: QuantizedWeight, _ layer: LayerContext, _ quantizer: Quantizer
  ) throws -> [(name: String, tensor: Tensor)] {
    let layout = quantized.layout
    if case .custom = layout.storage, layout.formula != .opaque {
      let bytes = try quantizer.pack(
        layer, layout, quantized.parameters, integers: quantized.integers)
      return [(name, bytes)]
    }
    var result = [(name, quantized.integers)]
    if let (packing, bias) = layout.packing {
      let numbers = (quantized.integers.integers() ?? []).map {
        UInt8(truncatingIfNeeded: $0 + bias)
      }
      let bytes = packing.pack(numbers, rowCount: rowCount(layout, quantized.integers.shape))
      result[0].1 = Tensor(bytes)
    }
    if layout.formula != .opaque { result.append(("\(name).scale", quantized.parameters.scale)) }
    if quantized.zeroPoints.contains(where: { $0 != 0 }) {
      result.append(("\(name).zero_point", quantized.parameters.zeroPoint))
    }
    if let table = quantized.parameters.table { result.append(("\(name).table", table)) }
    return result
  }

  /// Packed words begin anew with each row of the first axis; natural storage is one row.
  static func rowCount(_ layout: QuantizationLayout, _ shape: [Int]) -> Int {
    let count = shape.reduce(1, *)
    guard case .packed = layout.storage, let rows = shape.first, rows > 0 else { return count }
    return count / rows
  }
}

/// Makes float32 tensors of a checkpoint's quantized ones again; all others are handed on.
///
/// - Parameters:
///   - layouts: By the name of the tensor, as ``QuantizeRecord/layouts`` has them.
///   - quantizer: Finds the plugin of a tensor that its plugin alone can read.
/// - Throws: ``CompressionError/storedTensor(name:problem:)`` when the file does not hold what a
///   layout says, ``CompressionError/otherFormat(name:plugin:found:expected:)`` when the plugin would
///   store the tensor in another form; `PluginError`.
public func restoreCheckpoint(
  _ tensors: OrderedDictionary<String, Tensor>, layouts: [String: StoredLayout],
  quantizer: (_ plugin: String) throws -> Quantizer
) throws -> OrderedDictionary<String, Tensor> {
  var result = tensors
  for (name, stored) in layouts.sorted(by: { $0.key < $1.key }) {
    func problem(_ text: String) -> CompressionError { .storedTensor(name: name, problem: text) }
    guard let tensor = tensors[name] else { throw problem("it is not in the file") }
    guard let layout = stored.layout else { throw problem("its layout contradicts itself") }
    let shape = stored.shape
    for part in ["scale", "zero_point", "table"] { result["\(name).\(part)"] = nil }
    let layer = stored.context(name)
    let none = QuantizationParameters(
      scale: Tensor(zeros: [0]), zeroPoint: Tensor(zeros: [0], layout.elementType))
    if let reader = try stored.reader(name, layout, layer, tensor, quantizer) {
      if layout.formula == .opaque {
        result[name] = try reader.dequantize(layer, layout, none, integers: tensor, shape: shape)
      } else {
        let (parameters, integers) = try reader.unpack(layer, layout, bytes: tensor, shape: shape)
        result[name] = layout.values(integers, parameters)
      }
      continue
    }
    var integers = tensor
    if let (packing, bias) = layout.packing {
      let rowCount = StoredWeight.rowCount(layout, shape)
      let rows = rowCount > 0 ? shape.reduce(1, *) / rowCount : 0
      guard tensor.elementType == .uint8,
        let numbers = packing.unpack(
          tensor.elements(of: UInt8.self), rows: rows, rowCount: rowCount)
      else { throw problem("it has \(tensor.byteCount) bytes") }
      integers =
        layout.elementType == .int8
        ? Tensor(numbers.map { Int8(truncatingIfNeeded: Int($0) - bias) }, shape: shape)
        : Tensor(numbers.map { UInt8(truncatingIfNeeded: Int($0) - bias) }, shape: shape)
    }
    guard integers.shape == shape, integers.elementType == layout.elementType else {
      throw problem("it is \(integers.elementType) \(integers.shape)")
    }
    guard (integers.integers() ?? []).allSatisfy({ layout.minimum...layout.maximum ~= $0 }) else {
      throw problem("it has integers outside \(layout.minimum)...\(layout.maximum)")
    }
    let scaleShape = layout.scaleShape(shape)
    guard let scale = tensors["\(name).scale"], scale.elementType == .float32,
      scale.shape == scaleShape
    else { throw problem("its scales are not float32 \(scaleShape)") }
    guard scale.elements(of: Float.self).allSatisfy({ $0.isFinite && $0 > 0 }) else {
      throw problem("its scales are not all finite and above 0")
    }
    let zeroShape = layout.zeroPointShape(shape)
    let zeroPoint = tensors["\(name).zero_point"] ?? Tensor(zeros: zeroShape, layout.elementType)
    guard zeroPoint.shape == zeroShape, zeroPoint.elementType == layout.elementType else {
      throw problem("its zero points are not \(layout.elementType) \(zeroShape)")
    }
    let table = tensors["\(name).table"]
    if layout.formula == .codebook {
      guard table?.elementType == .float32, table?.shape == [layout.maximum + 1] else {
        throw problem("its table is not float32 [\(layout.maximum + 1)]")
      }
    }
    result[name] = layout.values(
      integers,
      QuantizationParameters(
        scale: scale, zeroPoint: zeroPoint, table: layout.formula == .codebook ? table : nil))
  }
  return result
}

extension StoredLayout {
  /// The most values that a byte may stand for. No real format comes near; a damaged shape would ask
  /// for more memory than there is.
  private static let valuesPerByte = 4096

  /// The plugin that has to read a tensor, or nil when the layout says all that is needed.
  fileprivate func reader(
    _ name: String, _ layout: QuantizationLayout, _ layer: LayerContext, _ tensor: Tensor,
    _ quantizer: (_ plugin: String) throws -> Quantizer
  ) throws -> Quantizer? {
    if case .custom = layout.storage {} else if layout.formula != .opaque { return nil }
    guard tensor.byteCount >= shape.reduce(1, *) / Self.valuesPerByte else {
      throw CompressionError.storedTensor(
        name: name, problem: "it has \(tensor.byteCount) bytes for the shape \(shape)")
    }
    guard tensor.elementType == .uint8,
      layout.formula != .opaque || tensor.shape == layout.integerShape(shape)
    else {
      throw CompressionError.storedTensor(
        name: name, problem: "it is \(tensor.elementType) \(tensor.shape)")
    }
    let reader = try quantizer(plugin)
    // Another plugin, or the same with other parameters, would make numbers of any bytes.
    let own = try reader.layout(layer, shape: shape, weightBits: 8)
    guard let own,
      StoredLayout(own, plugin: plugin, index: index, layer: self.layer, shape: shape) == self
    else {
      throw CompressionError.otherFormat(
        name: name, plugin: reader.descriptor.id, found: layout.form, expected: own?.form)
    }
    return reader
  }
}

extension QuantizationLayout {
  /// In a few words, for an error: what the plugin alone can read.
  fileprivate var form: String {
    let numbers = formula == .opaque ? "\(blockBytes) bytes" : "\(formula.rawValue), \(bits) bits"
    let place =
      switch granularity {
      case .tensor: ""
      case .axis(let axis): " along axis \(axis)"
      case .block(_, let size): " for \(size) values"
      }
    if case .custom(let id) = storage { return "\"\(id)\" (\(numbers)\(place))" }
    return numbers + place
  }
}
