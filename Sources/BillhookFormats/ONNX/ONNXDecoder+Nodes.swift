internal import BillhookGraph
internal import BillhookTensor
internal import OrderedCollections
internal import SwiftProtobuf

/// Nodes and their attributes.
extension ONNXDecoder {
  /// - Parameter index: The node's place, for errors.
  func node(_ proto: Onnx_NodeProto, _ index: Int) throws(FormatError) -> Node {
    guard !proto.opType.isEmpty else {
      throw malformed("node \(index) \"\(proto.name)\"", "no operator", "the field \"op_type\"")
    }
    var node = Node(
      proto.opType, name: proto.name, inputs: proto.input, outputs: proto.output,
      domain: proto.domain)
    node.docString = proto.docString
    var rest = proto
    rest.attribute = []
    rest.input = []
    rest.output = []
    rest.clearOpType()
    if !rest.name.isEmpty { rest.clearName() }
    if !rest.domain.isEmpty { rest.clearDomain() }
    if !rest.docString.isEmpty { rest.clearDocString() }
    for source in proto.attribute {
      let location = "attribute \"\(source.name)\" of node \"\(node.displayName)\""
      guard !source.name.isEmpty else { throw malformed(location, "no name", "a name") }
      // The other name for the tensor of a Constant, which becomes dense.
      let isSparse =
        source.name == "sparse_value" && source.hasSparseTensor && node.op == "Constant"
        && FunctionName.canonical(node.domain).isEmpty
      let name = isSparse ? "value" : source.name
      guard node.attributes[name] == nil else {
        throw malformed(location, "the name twice", "it once")
      }
      if isSparse {
        node.attributes[name] = .tensor(try initializer(source.sparseTensor, at: location))
        continue
      }
      var attributeRest = source
      node.attributes[source.name] = try attribute(&attributeRest, at: location)
      // What is left of the attribute waits in the node's rest, found again by its name.
      if attributeRest != Onnx_AttributeProto() {
        attributeRest.name = source.name
        rest.attribute.append(attributeRest)
      }
    }
    node.opaque = rest.restBytes
    return node
  }

  /// Takes the value out of an attribute, and leaves what is not modelled.
  private func attribute(
    _ proto: inout Onnx_AttributeProto, at location: String
  ) throws(FormatError) -> Attribute {
    let kind = kind(of: proto)
    // What is only carried along must be whole.
    if kind != .tensor, proto.hasT { putBack(&proto.t) }
    if proto.type == .graph, proto.hasG, !proto.hasRefAttrName,
      let graph = try supportedSubgraph(proto.g)
    {
      proto.clearName()
      proto.clearType()
      proto.clearG()
      return .graph(graph)
    }
    guard let kind else {
      if proto.hasT { try refuseExternalData(proto.t, at: location) }
      for tensor in proto.tensors { try refuseExternalData(tensor, at: location) }
      if proto.hasG { try refuseExternalData(in: proto.g) }
      for graph in proto.graphs { try refuseExternalData(in: graph) }
      let bytes = proto.restBytes
      proto = Onnx_AttributeProto()
      return .opaque(bytes)
    }
    defer {
      proto.clearName()
      proto.clearType()
    }
    switch kind {
    case .float:
      defer { proto.clearF() }
      return .float(proto.f)
    case .int:
      defer { proto.clearI() }
      return .int(Int(proto.i))
    case .string:
      defer { proto.clearS() }
      return .string([UInt8](proto.s))
    case .floats:
      defer { proto.floats = [] }
      return .floats(proto.floats)
    case .ints:
      defer { proto.ints = [] }
      return .ints(proto.ints.map { Int($0) })
    case .strings:
      defer { proto.strings = [] }
      return .strings(proto.strings.map { [UInt8]($0) })
    default:
      let tensor = proto.t
      proto.clearT()
      var initializer = try initializer(tensor, at: location)
      // The model has no place for the name of an attribute's tensor.
      if !tensor.name.isEmpty {
        var rest = Onnx_TensorProto()
        rest.name = tensor.name
        initializer.opaque += rest.restBytes
      }
      return .tensor(initializer)
    }
  }

  /// What an attribute holds, or nil when it can only be carried through.
  private func kind(of proto: Onnx_AttributeProto) -> Onnx_AttributeProto.AttributeType? {
    guard !proto.hasRefAttrName else { return nil }
    var kind = proto.type
    if !proto.hasType || kind == .undefined {
      // Files of IR version 1 have no type; an unknown one lies in the unknown fields.
      guard proto.unknownFields.data.isEmpty else { return nil }
      let present: [(Bool, Onnx_AttributeProto.AttributeType)] = [
        (proto.hasF, .float), (proto.hasI, .int), (proto.hasS, .string), (proto.hasT, .tensor),
        (!proto.floats.isEmpty, .floats), (!proto.ints.isEmpty, .ints),
        (!proto.strings.isEmpty, .strings),
      ]
      guard let found = present.first(where: { $0.0 }) else { return nil }
      kind = found.1
    }
    switch kind {
    case .float, .int, .string, .floats, .ints, .strings: return kind
    case .tensor where proto.hasT && ElementType(rawValue: proto.t.dataType) != nil: return kind
    default: return nil
    }
  }

  /// A subgraph, or nil when something in it can only be carried through.
  private func supportedSubgraph(_ proto: Onnx_GraphProto) throws(FormatError) -> Graph? {
    do {
      return try subgraph(proto)
    } catch {
      guard case .unsupported = error else { throw error }
      return nil
    }
  }

  /// What is carried as bytes; a reference to another file in it would be lost on the way.
  func refuseExternalData(in graph: Onnx_GraphProto) throws(FormatError) {
    for tensor in graph.initializer {
      try refuseExternalData(tensor, at: "initializer \"\(tensor.name)\" of a subgraph")
    }
    try refuseExternalData(in: graph.node)
  }

  /// The same of nodes.
  func refuseExternalData(in nodes: [Onnx_NodeProto]) throws(FormatError) {
    for node in nodes {
      for attribute in node.attribute {
        let location = "attribute \"\(attribute.name)\" of node \"\(node.name)\" in a subgraph"
        if attribute.hasT { try refuseExternalData(attribute.t, at: location) }
        for tensor in attribute.tensors { try refuseExternalData(tensor, at: location) }
        if attribute.hasG { try refuseExternalData(in: attribute.g) }
        for graph in attribute.graphs { try refuseExternalData(in: graph) }
      }
    }
  }
}
