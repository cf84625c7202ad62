internal import BillhookGraph
internal import BillhookTensor
internal import Foundation
internal import OrderedCollections
internal import SwiftProtobuf

/// Takes a protobuf model apart into a ``Graph``.
///
/// Strings that are set but empty stay in the rest, so that encoding can set them again.
struct ONNXDecoder {
  let path: String
  /// Where the files of external data lie; nil for bytes in memory, which have none.
  let external: ExternalData?
  /// What the places of an ``ONNXOutline`` are in; nil where raw data are in their messages.
  var weights: Storage?
  let sparseBudget = SparseBudget()

  /// For messages that an outline leaves as they are.
  var ofWholeMessages: ONNXDecoder {
    var decoder = self
    decoder.weights = nil
    return decoder
  }

  func graph(_ model: Onnx_ModelProto) throws(FormatError) -> Graph {
    var rest = model
    guard rest.hasGraph else {
      throw malformed("the field \"graph\"", "nothing", "a graph")
    }
    guard rest.irVersion > 0 else {
      let found = rest.hasIrVersion ? "\(rest.irVersion)" : "nothing"
      throw malformed("the field \"ir_version\"", found, "a version of 1 or more")
    }
    try FunctionInlining.inline(&rest, self)
    for function in rest.functions { try refuseExternalData(in: function.node) }
    for training in rest.trainingInfo {
      try refuseExternalData(in: training.initialization)
      try refuseExternalData(in: training.algorithm)
    }

    var source = rest.graph
    rest.clearGraph()
    var graph = try self.graph(&source, isNested: false)
    graph.irVersion = Int(rest.irVersion)
    rest.clearIrVersion()
    graph.opsets = try takeOpsets(&rest, irVersion: graph.irVersion)
    graph.metadata = takeMetadata(&rest)
    rest.graph = source
    graph.opaque = rest.restBytes
    return graph
  }

  /// A subgraph; what is not modelled stays in its opaque bytes.
  private func subgraph(_ proto: Onnx_GraphProto) throws(FormatError) -> Graph {
    var rest = proto
    var graph = try ofWholeMessages.graph(&rest, isNested: true)
    graph.opsets = [:]
    graph.opaque = rest.restBytes
    return graph
  }

  /// Takes what is modelled out of a graph.
  ///
  /// - Parameter isNested: A subgraph's inputs and outputs need no type: it follows from the outside.
  private func graph(
    _ source: inout Onnx_GraphProto, isNested: Bool
  ) throws(FormatError) -> Graph {
    var graph = Graph(name: source.name)
    graph.docString = source.docString
    if !source.name.isEmpty { source.clearName() }
    if !source.docString.isEmpty { source.clearDocString() }
    graph.initializers = try takeInitializers(&source)
    try takeInputs(&source, into: &graph, isNested: isNested)
    for output in source.output {
      graph.outputs.append(try valueInfo(output, "output", isNested: isNested))
    }
    source.output = []
    takeValueInfos(&source, into: &graph)
    for (index, node) in source.node.enumerated() {
      graph.nodes.append(try self.node(node, index))
    }
    source.node = []
    return graph
  }

  func malformed(_ location: String, _ found: String, _ expected: String) -> FormatError {
    .malformed(path: path, format: .onnx, location: location, found: found, expected: expected)
  }

  func unsupported(_ location: String, _ found: String, _ supported: String) -> FormatError {
    .unsupported(path: path, format: .onnx, location: location, found: found, supported: supported)
  }
}

// MARK: - Model

extension ONNXDecoder {
  /// The entries stay in the rest without their versions, which keeps order and unknown fields; a
  /// domain's second entry stays whole.
  private func takeOpsets(
    _ rest: inout Onnx_ModelProto, irVersion: Int
  ) throws(FormatError) -> OrderedDictionary<String, Int> {
    var opsets: OrderedDictionary<String, Int> = [:]
    for index in rest.opsetImport.indices {
      let entry = rest.opsetImport[index]
      guard opsets[entry.domain] == nil else { continue }
      guard entry.version > 0 else {
        throw malformed(
          "opset_import \(index) (domain \"\(entry.domain)\")", "version \(entry.version)",
          "a version of 1 or more")
      }
      opsets[entry.domain] = Int(entry.version)
      rest.opsetImport[index].clearVersion()
    }
    if opsets.isEmpty {
      // Before IR version 3 there was one operator set and no field to name it.
      guard irVersion < 3 else {
        throw malformed("the field \"opset_import\"", "nothing", "at least one operator set")
      }
      opsets[""] = 1
    }
    return opsets
  }

  private func takeMetadata(_ rest: inout Onnx_ModelProto) -> OrderedDictionary<String, String> {
    var metadata: OrderedDictionary<String, String> = [:]
    var kept: [Onnx_StringStringEntryProto] = []
    for entry in rest.metadataProps {
      var plain = Onnx_StringStringEntryProto()
      plain.key = entry.key
      plain.value = entry.value
      // A second entry of a key, or one with fields that we do not know, is carried but not shown.
      if plain == entry, metadata[entry.key] == nil {
        metadata[entry.key] = entry.value
      } else {
        kept.append(entry)
      }
    }
    rest.metadataProps = kept
    return metadata
  }
}

// MARK: - Graph

extension ONNXDecoder {
  private func takeInitializers(
    _ source: inout Onnx_GraphProto
  ) throws(FormatError) -> OrderedDictionary<String, Initializer> {
    var initializers: OrderedDictionary<String, Initializer> = [:]
    for index in source.initializer.indices {
      let proto = source.initializer[index]
      guard !proto.name.isEmpty else {
        throw malformed("initializer \(index)", "no name", "a name")
      }
      guard initializers[proto.name] == nil else {
        throw malformed("initializer \"\(proto.name)\"", "the name twice", "it once")
      }
      initializers[proto.name] = try initializer(proto, at: "initializer \"\(proto.name)\"")
      // The tensor's own copy of the bytes is not needed any more.
      source.initializer[index] = Onnx_TensorProto()
    }
    source.initializer = []
    for (index, sparse) in source.sparseInitializer.enumerated() {
      let name = sparse.values.name
      guard !name.isEmpty else {
        throw malformed("sparse initializer \(index)", "no name", "a name")
      }
      guard initializers[name] == nil else {
        throw malformed("sparse initializer \"\(name)\"", "the name twice", "it once")
      }
      initializers[name] = try initializer(sparse, at: "sparse initializer \"\(name)\"")
    }
    source.sparseInitializer = []
    return initializers
  }

  /// Until IR version 3 every initializer is an input as well. These stay in the rest, where an
  /// empty entry holds the place of each true input.
  private func takeInputs(
    _ source: inout Onnx_GraphProto, into graph: inout Graph, isNested: Bool
  ) throws(FormatError) {
    var places: [Onnx_ValueInfoProto] = []
    for input in source.input {
      if graph.initializers[input.name] != nil {
        places.append(input)
      } else {
        graph.inputs.append(try valueInfo(input, "input", isNested: isNested))
        places.append(Onnx_ValueInfoProto())
      }
    }
    source.input = places.count == graph.inputs.count ? [] : places
  }

  private func takeValueInfos(_ source: inout Onnx_GraphProto, into graph: inout Graph) {
    var kept: [Onnx_ValueInfoProto] = []
    for info in source.valueInfo {
      if let modelled = try? valueInfo(info, "value_info") {
        graph.valueInfos.append(modelled)
      } else {
        kept.append(info)
      }
    }
    source.valueInfo = kept
  }

  private func valueInfo(
    _ proto: Onnx_ValueInfoProto, _ role: String, isNested: Bool = false
  ) throws(FormatError) -> ValueInfo {
    let location = "\(role) \"\(proto.name)\""
    guard !proto.name.isEmpty else { throw malformed(location, "no name", "a name") }
    switch proto.type.value {
    case .tensorType?: break
    case nil where isNested: return untyped(proto)
    case nil: throw malformed(location, "no type", "the type of a tensor")
    case .sequenceType?: throw unsupported(location, "a sequence", Self.supportedTypes)
    case .mapType?: throw unsupported(location, "a map", Self.supportedTypes)
    case .optionalType?: throw unsupported(location, "an optional value", Self.supportedTypes)
    case .sparseTensorType?: throw unsupported(location, "a sparse tensor", Self.supportedTypes)
    case .opaqueType?: throw unsupported(location, "an opaque value", Self.supportedTypes)
    }
    var tensorType = proto.type.tensorType
    guard let elementType = ElementType(rawValue: tensorType.elemType) else {
      throw unsupported(location, Self.typeName(tensorType.elemType), Self.supportedTypes)
    }
    var info = ValueInfo(proto.name, elementType, shape: nil, docString: proto.docString)
    tensorType.clearElemType()
    if tensorType.hasShape {
      var dimensions: [BillhookGraph.Dimension] = []
      for (axis, dimension) in tensorType.shape.dim.enumerated() {
        dimensions.append(try self.dimension(dimension, "axis \(axis) of \(location)"))
        tensorType.shape.dim[axis].value = nil
      }
      info.shape = dimensions
      let plain = Onnx_TensorShapeProto.Dimension()
      if tensorType.shape.dim.allSatisfy({ $0 == plain }) { tensorType.shape.dim = [] }
      if tensorType.shape == Onnx_TensorShapeProto() { tensorType.clearShape() }
    }
    var rest = proto
    rest.clearName()
    if !rest.docString.isEmpty { rest.clearDocString() }
    rest.type.value = tensorType == Onnx_TypeProto.Tensor() ? nil : .tensorType(tensorType)
    if rest.type == Onnx_TypeProto() { rest.clearType() }
    info.opaque = rest.restBytes
    return info
  }

  private func untyped(_ proto: Onnx_ValueInfoProto) -> ValueInfo {
    var info = ValueInfo(proto.name, shape: nil, docString: proto.docString)
    info.isTyped = false
    var rest = proto
    rest.clearName()
    if !rest.docString.isEmpty { rest.clearDocString() }
    info.opaque = rest.restBytes
    return info
  }

  private func dimension(
    _ proto: Onnx_TensorShapeProto.Dimension, _ location: String
  ) throws(FormatError) -> BillhookGraph.Dimension {
    switch proto.value {
    // Some exporters name every axis of unknown size "?", which does not make them equal.
    case .dimParam("?")?, nil: return .symbolic("")
    case .dimParam(let name)?: return .symbolic(name)
    // Some exporters write -1 for an axis of unknown size.
    case .dimValue(-1)?: return .symbolic("")
    case .dimValue(let size)?:
      guard size >= 0, size < 1 << 40 else {
        throw malformed(location, "size \(size)", "a size from 0 to 2^40 - 1")
      }
      return .fixed(Int(size))
    }
  }
}

// MARK: - Nodes

extension ONNXDecoder {
  private func node(_ proto: Onnx_NodeProto, _ index: Int) throws(FormatError) -> Node {
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
  private func refuseExternalData(in graph: Onnx_GraphProto) throws(FormatError) {
    for tensor in graph.initializer {
      try refuseExternalData(tensor, at: "initializer \"\(tensor.name)\" of a subgraph")
    }
    try refuseExternalData(in: graph.node)
  }

  private func refuseExternalData(in nodes: [Onnx_NodeProto]) throws(FormatError) {
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
