internal import BillhookGraph
internal import BillhookTensor
internal import Foundation
internal import OrderedCollections
internal import SwiftProtobuf

/// Puts a protobuf model together: the opaque rest of each message, completed by the ``Graph``.
struct ONNXEncoder {
  func model(_ graph: Graph) throws(FormatError) -> Onnx_ModelProto {
    var model: Onnx_ModelProto = try message(graph.opaque, at: "the model")
    if graph.opaque.isEmpty { model.producerName = "billhook" }
    model.irVersion = Int64(graph.irVersion)
    model.opsetImport = opsets(graph.opsets, rest: model.opsetImport)
    model.metadataProps =
      graph.metadata.map { key, value in
        var entry = Onnx_StringStringEntryProto()
        entry.key = key
        entry.value = value
        return entry
      } + model.metadataProps

    let rest = model.graph
    model.clearGraph()
    model.graph = try self.graph(graph, rest: rest)
    return model
  }

  /// Completes what is left of a graph.
  private func graph(
    _ graph: Graph, rest: Onnx_GraphProto
  ) throws(FormatError) -> Onnx_GraphProto {
    var target = rest
    if !graph.name.isEmpty { target.name = graph.name }
    if !graph.docString.isEmpty { target.docString = graph.docString }
    target.input = try inputs(of: graph, rest: target.input)
    for output in graph.outputs { target.output.append(try valueInfo(output)) }
    target.valueInfo = try valueInfos(of: graph, rest: target.valueInfo)
    for (name, initializer) in graph.initializers {
      target.initializer.append(
        try tensor(initializer, name: name, at: "initializer \"\(name)\""))
    }
    for node in graph.nodes { target.node.append(try self.node(node)) }
    return target
  }

  /// Parses the opaque rest of a message.
  ///
  /// - Throws: ``FormatError/cannotEncode(format:location:found:expected:)`` when the bytes were not
  ///   made by the decoder.
  func message<M: Message>(_ opaque: [UInt8], at location: String) throws(FormatError) -> M {
    if opaque.isEmpty { return M() }
    do {
      return try M(serializedBytes: opaque, partial: true)
    } catch {
      throw .cannotEncode(
        format: .onnx, location: location, found: "opaque bytes that are not a protobuf message",
        expected: "the bytes that reading an ONNX file gave")
    }
  }

  private func opsets(
    _ opsets: OrderedDictionary<String, Int>, rest: [Onnx_OperatorSetIdProto]
  ) -> [Onnx_OperatorSetIdProto] {
    var missing = opsets
    var result: [Onnx_OperatorSetIdProto] = []
    for var entry in rest {
      if !entry.hasVersion {
        guard let version = missing.removeValue(forKey: entry.domain) else { continue }
        entry.version = Int64(version)
      }
      result.append(entry)
    }
    for (domain, version) in missing {
      var entry = Onnx_OperatorSetIdProto()
      entry.domain = domain
      entry.version = Int64(version)
      result.append(entry)
    }
    return result
  }

  private func inputs(
    of graph: Graph, rest: [Onnx_ValueInfoProto]
  ) throws(FormatError) -> [Onnx_ValueInfoProto] {
    var result: [Onnx_ValueInfoProto] = []
    var trueInputs = graph.inputs[...]
    for var entry in rest {
      if !entry.hasName {
        if let input = trueInputs.popFirst() { result.append(try valueInfo(input)) }
      } else if let tensor = graph.initializers[entry.name]?.tensor {
        setType(of: &entry, tensor.elementType, tensor.shape.map { .fixed($0) })
        result.append(entry)
      }
    }
    for input in trueInputs { result.append(try valueInfo(input)) }
    return result
  }

  private func valueInfos(
    of graph: Graph, rest: [Onnx_ValueInfoProto]
  ) throws(FormatError) -> [Onnx_ValueInfoProto] {
    var result: [Onnx_ValueInfoProto] = []
    for info in graph.valueInfos { result.append(try valueInfo(info)) }
    return result + rest
  }

  private func valueInfo(_ info: ValueInfo) throws(FormatError) -> Onnx_ValueInfoProto {
    var proto: Onnx_ValueInfoProto = try message(info.opaque, at: "value \"\(info.name)\"")
    proto.name = info.name
    if !info.docString.isEmpty { proto.docString = info.docString }
    if info.isTyped { setType(of: &proto, info.elementType, info.shape) }
    return proto
  }

  private func setType(
    of proto: inout Onnx_ValueInfoProto, _ elementType: ElementType,
    _ shape: [BillhookGraph.Dimension]?
  ) {
    var type = proto.type.tensorType
    type.elemType = elementType.rawValue
    if let shape {
      var dimensions = type.shape.dim
      if dimensions.count > shape.count { dimensions.removeLast(dimensions.count - shape.count) }
      while dimensions.count < shape.count { dimensions.append(.init()) }
      for (axis, dimension) in shape.enumerated() {
        switch dimension {
        case .fixed(let size): dimensions[axis].value = .dimValue(Int64(size))
        case .symbolic(""): dimensions[axis].value = nil
        case .symbolic(let name): dimensions[axis].value = .dimParam(name)
        }
      }
      type.shape.dim = dimensions
    } else {
      type.clearShape()
    }
    proto.type.tensorType = type
  }

  private func node(_ node: Node) throws(FormatError) -> Onnx_NodeProto {
    let location = "node \"\(node.displayName)\""
    var proto: Onnx_NodeProto = try message(node.opaque, at: location)
    proto.input = node.inputs
    proto.output = node.outputs
    proto.opType = node.op
    if !node.name.isEmpty { proto.name = node.name }
    if !node.domain.isEmpty { proto.domain = node.domain }
    if !node.docString.isEmpty { proto.docString = node.docString }
    var rests: [String: Onnx_AttributeProto] = [:]
    for rest in proto.attribute { rests[rest.name] = rest }
    proto.attribute = []
    for (name, attribute) in node.attributes {
      proto.attribute.append(
        try self.attribute(
          attribute, name: name, rest: rests[name], at: "attribute \"\(name)\" of \(location)"))
    }
    return proto
  }

  private func attribute(
    _ attribute: Attribute, name: String, rest: Onnx_AttributeProto?, at location: String
  ) throws(FormatError) -> Onnx_AttributeProto {
    var proto = rest ?? Onnx_AttributeProto()
    switch attribute {
    case .opaque(let bytes): proto = try message(bytes, at: location)
    case .float(let value):
      proto.type = .float
      proto.f = value
    case .int(let value):
      proto.type = .int
      proto.i = Int64(value)
    case .string(let value):
      proto.type = .string
      proto.s = Data(value)
    case .floats(let values):
      proto.type = .floats
      proto.floats = values
    case .ints(let values):
      proto.type = .ints
      proto.ints = values.map { Int64($0) }
    case .strings(let values):
      proto.type = .strings
      proto.strings = values.map { Data($0) }
    case .graph(let graph):
      proto.type = .graph
      let rest: Onnx_GraphProto = try message(graph.opaque, at: location)
      proto.g = try self.graph(graph, rest: rest)
    case .tensor(let initializer):
      proto.type = .tensor
      proto.t = try tensor(initializer, name: nil, at: location)
    }
    proto.name = name
    return proto
  }
}
