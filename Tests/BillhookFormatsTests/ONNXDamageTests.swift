internal import BillhookFormats
internal import BillhookGraph
internal import BillhookTensor
internal import BillhookTestSupport
internal import OrderedCollections
internal import Testing

@Suite struct ONNXDamageTests {
  private static let damaged =
    "The file is damaged, cut short or of another kind; copy or export it again."

  private static func failure(_ bytes: [UInt8]) -> String {
    sentence { _ = try ONNXFile.decode(bytes, name: "m.onnx") }
  }

  private static func message(_ location: String, _ found: String, _ expected: String) -> String {
    "Cannot read \"m.onnx\" as ONNX: at \(location), found \(found), but expected \(expected). "
      + damaged
  }

  @Test func `a file that does not exist is named`() {
    #expect(
      sentence { _ = try ONNXFile.read(path: "/nowhere/m.onnx") }
        == """
        Cannot read "/nowhere/m.onnx": No such file or directory. Check the path and its permissions.
        """)
  }

  @Test func `an empty file and other kinds of files are refused`() {
    #expect(
      Self.failure([])
        == Self.message("byte 0", "an empty file", "a protobuf message ModelProto"))
    #expect(
      Self.failure(Array("PK\u{3}\u{4}".utf8))
        == Self.message("byte 2 (model)", "field number 0", "a field number of 1 or more"))
  }

  @Test func `a model without its required fields names the field`() {
    #expect(
      Self.failure(WireBytes.message { $0.integer(1, 8) })
        == Self.message("the field \"graph\"", "nothing", "a graph"))
    #expect(
      Self.failure(WireBytes.message { $0.message(7) { _ in } })
        == Self.message("the field \"ir_version\"", "nothing", "a version of 1 or more"))
    #expect(
      Self.failure(WireBytes.model(ir: -3) { _ in })
        == Self.message("the field \"ir_version\"", "-3", "a version of 1 or more"))
    #expect(
      Self.failure(WireBytes.model(opset: nil) { _ in })
        == Self.message("the field \"opset_import\"", "nothing", "at least one operator set"))
    #expect(
      Self.failure(WireBytes.model(opset: 0) { _ in })
        == Self.message(
          "opset_import 0 (domain \"\")", "version 0", "a version of 1 or more"))
  }

  @Test func `a length beyond the end names the byte and the field`() {
    var bytes = WireBytes.model { $0.initializer(type: 1, dims: [1]) { $0.data(9, [0, 0, 0, 0]) } }
    bytes.removeLast(2)
    // Two bytes for ir_version, four for opset_import, then the graph: a tensor of 15 bytes.
    #expect(
      Self.failure(bytes)
        == Self.message(
          "byte 6 (model.graph)", "a length of 15 bytes", "at most 13, the bytes that are left"))
  }

  @Test func `a damaged inner message names the way to it`() {
    let bytes = WireBytes.model { $0.message(1) { $0.data(4, [0xFF]) } }
    #expect(
      Self.failure(bytes)
        == Self.message(
          "byte 10 (model.graph.node.op_type)", "bytes that are not UTF-8", "text in UTF-8"))
  }

  @Test func `subgraphs that nest too deeply are refused`() {
    var graph: [UInt8] = []
    for _ in 0..<200 {
      let inner = graph
      graph = WireBytes.message {
        $0.message(1) {
          $0.text(4, "If")
          $0.message(5) {
            $0.text(1, "b")
            $0.data(6, inner)
            $0.integer(20, 5)
          }
        }
      }
    }
    let bytes = WireBytes.message {
      $0.integer(1, 8)
      $0.data(7, graph)
    }
    #expect(
      Self.failure(bytes)
        == Self.message(
          "a subgraph", "messages nested deeper than 100 levels", "at most 100 levels"))
  }

  @Test func `doubled and missing names are errors`() {
    let weight = { (wire: inout WireBytes) in wire.data(9, [0, 0, 0, 0]) }
    #expect(
      Self.failure(
        WireBytes.model {
          $0.initializer(type: 1, dims: [1], weight)
          $0.initializer(type: 1, dims: [1], weight)
        }) == Self.message("initializer \"w\"", "the name twice", "it once"))
    #expect(
      Self.failure(WireBytes.model { $0.initializer(type: 1, dims: [1], name: "", weight) })
        == Self.message("initializer 0", "no name", "a name"))
    #expect(
      Self.failure(WireBytes.model { $0.message(1) { $0.text(3, "n") } })
        == Self.message("node 0 \"n\"", "no operator", "the field \"op_type\""))
    let attribute = { (wire: inout WireBytes) in
      wire.text(1, "a")
      wire.integer(3, 1)
      wire.integer(20, 2)
    }
    #expect(
      Self.failure(
        WireBytes.model {
          $0.message(1) {
            $0.text(4, "Op")
            $0.message(5, attribute)
            $0.message(5, attribute)
          }
        }) == Self.message("attribute \"a\" of node \"Op\"", "the name twice", "it once"))
  }

  @Test func `inputs must be tensors of known types`() {
    #expect(
      Self.failure(WireBytes.model { $0.message(11) { $0.text(1, "x") } })
        == Self.message("input \"x\"", "no type", "the type of a tensor"))
    let supported = """
      Supported: tensors of float32, uint8, int8, uint16, int16, int32, int64, bool, float16, \
      float64, uint32, uint64, bfloat16.
      """
    #expect(
      Self.failure(WireBytes.model { $0.value(12, "y", type: 8) })
        == """
        Cannot read "m.onnx" as ONNX: at output "y", found the element type string, which is not \
        supported. \(supported)
        """)
    #expect(
      Self.failure(
        WireBytes.model {
          $0.message(11) {
            $0.text(1, "x")
            $0.message(2) { $0.message(4) { _ in } }
          }
        })
          == """
          Cannot read "m.onnx" as ONNX: at input "x", found a sequence, which is not supported. \
          \(supported)
          """)
    #expect(
      Self.failure(
        WireBytes.model {
          $0.message(11) {
            $0.text(1, "x")
            $0.message(2) {
              $0.message(1) {
                $0.integer(1, 1)
                $0.message(2) { $0.message(1) { $0.integer(1, 1 << 50) } }
              }
            }
          }
        }) == Self.message("axis 0 of input \"x\"", "size 1125899906842624", "a size from 0 to 2^40 - 1"))
  }

  @Test func `external data is refused inside subgraphs too`() {
    let bytes = WireBytes.model { graph in
      graph.message(1) { node in
        node.text(4, "If")
        node.message(5) {
          $0.text(1, "then_branch")
          $0.message(6) { $0.initializer(type: 1, dims: [1], name: "inner") { $0.integer(14, 1) } }
          $0.integer(20, 5)
        }
      }
    }
    #expect(
      Self.failure(bytes)
        == """
        Cannot read "m.onnx" as ONNX: at initializer "inner" of a subgraph, found a tensor whose data \
        lies in another file (""), which is not supported. Supported: models in one file; save the \
        model again without external data.
        """)
  }

  @Test func `foreign opaque bytes are an error when writing`() {
    var graph = ONNXFileTests.sample()
    graph.nodes[0].opaque = [0xFF, 0xFF]
    #expect(
      sentence { _ = try ONNXFile.encode(graph) }
        == """
        Cannot write ONNX: at node "first", found opaque bytes that are not a protobuf message, but \
        the format needs the bytes that reading an ONNX file gave.
        """)
  }

  @Test func `every shorter file is an error`() throws {
    let encoded = try ONNXFile.encode(ONNXFileTests.sample())
    // With the graph last, because a message that ends between two fields is a whole one.
    let fields = WireBytes.fields(of: encoded)
    let whole = (fields.filter { $0.number != 7 } + fields.filter { $0.number == 7 })
      .flatMap { encoded[$0.range] }
    #expect(try ONNXFile.encode(ONNXFile.decode(whole, name: "m.onnx")) == encoded)
    for length in Damage.lengths(of: whole) {
      #expect(Self.failure(Array(whole[..<length])).hasSuffix(Self.damaged), "length \(length)")
    }
  }

  @Test(arguments: 0..<20 as Range<UInt64>)
  func `flipped bits give a graph that can be written, or an error`(seed: UInt64) throws {
    let bytes = try ONNXFile.encode(ONNXFileTests.sample())
    for damaged in Damage.flips(of: bytes, seed: seed) {
      guard let graph = try? ONNXFile.decode(damaged, name: "m.onnx") else { continue }
      let again = try ONNXFile.encode(graph)
      #expect(try ONNXFile.encode(ONNXFile.decode(again, name: "m.onnx")) == again)
    }
  }
}
