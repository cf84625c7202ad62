internal import BillhookGraph
internal import BillhookTensor
internal import Foundation

extension ONNXDecoder {
  /// Decodes a constant tensor; what is not modelled stays in the initializer's opaque bytes.
  func initializer(
    _ proto: Onnx_TensorProto, at location: String
  ) throws(FormatError) -> Initializer {
    guard let type = ElementType(rawValue: proto.dataType) else {
      throw unsupported(location, Self.typeName(proto.dataType), Self.supportedTypes)
    }
    guard !proto.hasSegment else {
      throw unsupported(location, "a tensor in segments", "tensors in one piece")
    }
    let shape = proto.dims.map { Int($0) }
    guard let count = Tensor.elementCount(of: shape, elementType: type) else {
      throw malformed(location, "shape \(shape)", "sizes of 0 or more that fit into memory")
    }

    let tensor =
      proto.dataLocation == .external
      ? try externalTensor(proto, type, shape, count * type.byteCount, at: location)
      : try self.tensor(proto, type, shape, count, at: location)
    var rest = proto
    if proto.dataLocation == .external {
      // What is written holds its data itself.
      rest.externalData = []
      rest.clearDataLocation()
    }
    rest.dims = []
    rest.clearDataType()
    rest.clearRawData()
    rest.floatData = []
    rest.int32Data = []
    rest.int64Data = []
    rest.doubleData = []
    rest.uint64Data = []
    if !rest.name.isEmpty { rest.clearName() }
    if !rest.docString.isEmpty { rest.clearDocString() }
    var initializer = Initializer(tensor, docString: proto.docString, opaque: rest.restBytes)
    if proto.dataLocation == .external {
      initializer.file = proto.externalData.first { $0.key == "location" }?.value
    }
    return initializer
  }

  func refuseExternalData(_ proto: Onnx_TensorProto, at location: String) throws(FormatError) {
    guard proto.dataLocation == .external else { return }
    let file = proto.externalData.first { $0.key == "location" }?.value ?? ""
    throw unsupported(
      location, "a tensor whose data lies in another file (\"\(file)\")",
      "models in one file; save the model again without external data")
  }

  /// A tensor whose bytes lie in a file beside the model.
  private func externalTensor(
    _ proto: Onnx_TensorProto, _ type: ElementType, _ shape: [Int], _ byteCount: Int,
    at location: String
  ) throws(FormatError) -> Tensor {
    guard let external else {
      try refuseExternalData(proto, at: location)
      throw unsupported(location, "external data", "models in one file")
    }
    var entries: [String: String] = [:]
    for entry in proto.externalData { entries[entry.key] = entry.value }
    func number(_ key: String, default value: Int) throws(FormatError) -> Int {
      guard let text = entries[key] else { return value }
      guard let number = Int(text), number >= 0 else {
        throw malformed(location, "\(key) \"\(text)\"", "a number of bytes")
      }
      return number
    }
    let length = try number("length", default: byteCount)
    guard length == byteCount else {
      throw malformed(
        location, "\(length) bytes of external data", "\(byteCount) for shape \(shape) of \(type)")
    }
    let offset = try number("offset", default: 0)
    let name = entries["location"] ?? ""
    let storage = try external.storage(name, model: path, at: location)
    guard offset <= storage.byteCount, byteCount <= storage.byteCount - offset else {
      throw malformed(
        location, "\(byteCount) bytes from \(offset) on of \"\(name)\"",
        "a range within its \(storage.byteCount) bytes")
    }
    do {
      var tensor = try Tensor(storage: storage, byteOffset: offset, shape: shape, type)
      if type == .bool { tensor.withUnsafeMutableBytes { Self.normalizeBooleans($0) } }
      return tensor
    } catch {
      throw malformed(location, "\(error)", "bytes that the shape needs")
    }
  }

  private func tensor(
    _ proto: Onnx_TensorProto, _ type: ElementType, _ shape: [Int], _ count: Int,
    at location: String
  ) throws(FormatError) -> Tensor {
    let typedCount = [
      proto.floatData.count, proto.int32Data.count, proto.int64Data.count, proto.doubleData.count,
      proto.uint64Data.count, proto.stringData.count,
    ].reduce(0, +)
    let place = place(of: proto)
    let found = place?.count ?? proto.rawData.count
    if proto.hasRawData && !(found == 0 && typedCount > 0) {
      let byteCount = count * type.byteCount
      guard found == byteCount else {
        throw malformed(
          location, "\(found) bytes of raw data",
          "\(byteCount) for shape \(shape) of \(type)")
      }
      guard typedCount == 0 else {
        throw malformed(location, "raw data and \(typedCount) typed elements", "one of the two")
      }
      var tensor = Tensor(zeros: shape, type)
      tensor.withUnsafeMutableBytes { target in
        if let weights, let place {
          weights.withUnsafeBytes { target.copyMemory(from: .init(rebasing: $0[place])) }
          weights.discard(place)
        } else {
          _ = proto.rawData.copyBytes(to: target)
        }
        if type == .bool { Self.normalizeBooleans(target) }
      }
      return tensor
    }

    func checked<Source>(_ field: String, _ source: [Source]) throws(FormatError) -> [Source] {
      guard source.count == count, typedCount == count else {
        throw malformed(
          location, "\(source.count) elements in \(field) of \(typedCount) in all",
          "\(count) for shape \(shape) of \(type)")
      }
      return source
    }
    func converted<Source: BinaryInteger, Element: FixedWidthInteger & TensorElement>(
      _ field: String, _ source: [Source], to element: Element.Type
    ) throws(FormatError) -> Tensor {
      var result: [Element] = []
      result.reserveCapacity(count)
      for value in try checked(field, source) {
        guard let exact = Element(exactly: value) else {
          throw malformed(
            location, "\(value) in \(field)", "\(Element.min)...\(Element.max) for \(type)")
        }
        result.append(exact)
      }
      return Tensor(result, shape: shape)
    }

    switch type {
    case .float32: return Tensor(try checked("float_data", proto.floatData), shape: shape)
    case .float64: return Tensor(try checked("double_data", proto.doubleData), shape: shape)
    case .int64: return Tensor(try checked("int64_data", proto.int64Data), shape: shape)
    case .uint64: return Tensor(try checked("uint64_data", proto.uint64Data), shape: shape)
    case .uint32: return try converted("uint64_data", proto.uint64Data, to: UInt32.self)
    case .int32: return Tensor(try checked("int32_data", proto.int32Data), shape: shape)
    case .int16: return try converted("int32_data", proto.int32Data, to: Int16.self)
    case .uint16: return try converted("int32_data", proto.int32Data, to: UInt16.self)
    case .int8: return try converted("int32_data", proto.int32Data, to: Int8.self)
    case .uint8: return try converted("int32_data", proto.int32Data, to: UInt8.self)
    case .bool:
      return Tensor(try checked("int32_data", proto.int32Data).map { $0 != 0 }, shape: shape)
    case .float16, .bfloat16:
      return try converted("int32_data", proto.int32Data, to: UInt16.self).reinterpreted(as: type)
    }
  }

  /// Where the raw data of a tensor lie, when they were taken out of the message.
  private func place(of proto: Onnx_TensorProto) -> Range<Int>? {
    weights != nil && proto.hasRawData ? ONNXOutline.place(proto.rawData) : nil
  }

  /// Makes a message whole again whose raw data were taken out.
  func putBack(_ proto: inout Onnx_TensorProto) {
    guard let weights, let place = place(of: proto) else { return }
    proto.rawData = weights.withUnsafeBytes { Data($0[place]) }
  }

  /// Any other byte than 0 and 1 is not a value of `Bool`, and must not be read as one.
  private static func normalizeBooleans(_ bytes: UnsafeMutableRawBufferPointer) {
    for index in bytes.indices where bytes[index] > 1 { bytes[index] = 1 }
  }

  static let supportedTypes =
    "tensors of " + ElementType.allCases.map { "\($0)" }.joined(separator: ", ")

  static func typeName(_ rawValue: Int32) -> String {
    guard let type = Onnx_TensorProto.DataType(rawValue: Int(rawValue)), type != .undefined else {
      return "the element type number \(rawValue)"
    }
    return "the element type \("\(type)".lowercased())"
  }
}

extension ONNXEncoder {
  func tensor(
    _ initializer: Initializer, name: String?, at location: String
  ) throws(FormatError) -> Onnx_TensorProto {
    var proto: Onnx_TensorProto = try message(initializer.opaque, at: location)
    let tensor = initializer.tensor
    proto.dims = tensor.shape.map { Int64($0) }
    proto.dataType = tensor.elementType.rawValue
    proto.rawData = tensor.withUnsafeBytes { Data($0) }
    if let name, !name.isEmpty { proto.name = name }
    if !initializer.docString.isEmpty { proto.docString = initializer.docString }
    return proto
  }
}
