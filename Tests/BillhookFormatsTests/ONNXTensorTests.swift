internal import BillhookFormats
internal import BillhookGraph
internal import BillhookTensor
internal import BillhookTestSupport
internal import Foundation
internal import OrderedCollections
internal import Testing

@Suite struct ONNXTensorTests {
  private static func tensor(
    type: Int, dims: [Int], _ data: (inout WireBytes) -> Void
  ) throws -> Tensor? {
    let bytes = WireBytes.model { $0.initializer(type: type, dims: dims, data) }
    return try ONNXFile.decode(bytes, name: "m.onnx").initializers["w"]?.tensor
  }

  private static func packed(_ values: [Int]) -> [UInt8] {
    WireBytes.message { for value in values { $0.varint(UInt64(bitPattern: Int64(value))) } }
  }

  @Test(arguments: ElementType.allCases)
  func `raw data of every type keeps its bytes`(type: ElementType) throws {
    let raw = (0..<3 * type.byteCount).map { type == .bool ? UInt8($0 % 2) : UInt8($0 * 37 % 256) }
    let tensor = try Self.tensor(type: Int(type.rawValue), dims: [3, 1]) { $0.data(9, raw) }
    #expect(tensor?.elementType == type)
    #expect(tensor?.shape == [3, 1])
    #expect(tensor?.withUnsafeBytes { [UInt8]($0) } == raw)
  }

  @Test func `typed data of every type gives the same numbers as raw data`() throws {
    let small = Self.packed([1, 2])
    for (type, field) in [(2, 5), (3, 5), (4, 5), (5, 5), (6, 5), (7, 7), (12, 11), (13, 11)] {
      let tensor = try Self.tensor(type: type, dims: [2]) { $0.data(UInt64(field), small) }
      #expect(tensor?.integers() == [1, 2], "type \(type)")
    }
    let negative = try Self.tensor(type: 3, dims: [2]) { $0.data(5, Self.packed([-128, 127])) }
    #expect(negative == Tensor([-128, 127] as [Int8]))
    let bools = try Self.tensor(type: 9, dims: [2]) { $0.data(5, Self.packed([0, 5])) }
    #expect(bools == Tensor([false, true]))
    // 1.5 is 0x3E00 as float16 and 0x3FC0 as bfloat16.
    let half = try Self.tensor(type: 10, dims: [1]) { $0.data(5, Self.packed([0x3E00])) }
    #expect(half?.floats() == [1.5])
    let brain = try Self.tensor(type: 16, dims: [1]) { $0.data(5, Self.packed([0x3FC0])) }
    #expect(brain?.floats() == [1.5])
    let float = try Self.tensor(type: 1, dims: []) { $0.float(4, 2.5) }
    #expect(float == Tensor(scalar: 2.5 as Float))
    let double = try Self.tensor(type: 11, dims: [1]) {
      $0.data(10, [0, 0, 0, 0, 0, 0, 0x04, 0x40])
    }
    #expect(double?.floats() == [2.5])
  }

  @Test func `any raw byte but 0 is true`() throws {
    #expect(
      try Self.tensor(type: 9, dims: [3]) { $0.data(9, [0, 7, 255]) }
        == Tensor([false, true, true]))
  }

  @Test func `an empty tensor needs no data`() throws {
    #expect(try Self.tensor(type: 1, dims: [0, 3]) { _ in }?.shape == [0, 3])
  }

  private static let damaged =
    "The file is damaged, cut short or of another kind; copy or export it again."

  @Test func `wrong data is named with the tensor, the size found and the size expected`() {
    let start = "Cannot read \"m.onnx\" as ONNX: at initializer \"w\", found "
    #expect(
      sentence { _ = try Self.tensor(type: 1, dims: [2, 2]) { $0.data(9, [1, 2, 3]) } }
        == start + "3 bytes of raw data, but expected 16 for shape [2, 2] of float32. "
        + Self.damaged)
    #expect(
      sentence { _ = try Self.tensor(type: 7, dims: [2]) { $0.float(4, 1) } }
        == start + "0 elements in int64_data of 1 in all, but expected 2 for shape [2] of int64. "
        + Self.damaged)
    #expect(
      sentence { _ = try Self.tensor(type: 3, dims: [1]) { $0.data(5, Self.packed([200])) } }
        == start + "200 in int32_data, but expected -128...127 for int8. " + Self.damaged)
    #expect(
      sentence {
        _ = try Self.tensor(type: 1, dims: [1]) {
          $0.data(9, [0, 0, 0, 0])
          $0.float(4, 1)
        }
      } == start + "raw data and 1 typed elements, but expected one of the two. " + Self.damaged)
  }

  @Test(arguments: [[-1], [1 << 40, 1 << 40], [Int.max, 2]])
  func `a shape that cannot be allocated is refused`(dims: [Int]) {
    #expect(
      sentence { _ = try Self.tensor(type: 1, dims: dims) { $0.data(9, [0, 0, 0, 0]) } }
        == """
        Cannot read "m.onnx" as ONNX: at initializer "w", found shape \(dims), but expected sizes of \
        0 or more that fit into memory. \(Self.damaged)
        """)
  }

  @Test func `a large shape without data allocates nothing`() {
    #expect(
      sentence { _ = try Self.tensor(type: 1, dims: [1 << 40]) { _ in } }
        == """
        Cannot read "m.onnx" as ONNX: at initializer "w", found 0 elements in float_data of 0 in all, \
        but expected 1099511627776 for shape [1099511627776] of float32. \(Self.damaged)
        """)
  }

  @Test func `what is not supported is named with what is`() {
    let types = """
      tensors of float32, uint8, int8, uint16, int16, int32, int64, bool, float16, float64, uint32, \
      uint64, bfloat16
      """
    let start = "Cannot read \"m.onnx\" as ONNX: at initializer \"w\", found "
    #expect(
      sentence { _ = try Self.tensor(type: 8, dims: [1]) { $0.text(6, "text") } }
        == start + "the element type string, which is not supported. Supported: \(types).")
    #expect(
      sentence { _ = try Self.tensor(type: 99, dims: [1]) { _ in } }
        == start + "the element type number 99, which is not supported. Supported: \(types).")
    #expect(
      sentence {
        _ = try Self.tensor(type: 1, dims: [1]) {
          $0.message(13) {
            $0.text(1, "location")
            $0.text(2, "weights.bin")
          }
          $0.integer(14, 1)
        }
      } == start + """
        a tensor whose data lies in another file ("weights.bin"), which is not supported. Supported: \
        models in one file; save the model again without external data.
        """)
    #expect(
      sentence { _ = try Self.tensor(type: 1, dims: [1]) { $0.message(3) { $0.integer(1, 0) } } }
        == start
        + "a tensor in segments, which is not supported. Supported: tensors in one piece.")
  }

  @Test func `a tensor attribute of an unknown type is carried through`() throws {
    let bytes = WireBytes.model { graph in
      graph.message(1) { node in
        node.text(4, "Constant")
        node.message(5) {
          $0.text(1, "value")
          $0.message(5) {
            $0.integer(2, 8)
            $0.text(6, "text")
          }
          $0.integer(20, 4)
        }
      }
    }
    let graph = try ONNXFile.decode(bytes, name: "m.onnx")
    guard case .opaque? = graph.nodes[0].attributes["value"] else {
      Issue.record("the text tensor is not opaque")
      return
    }
    let again = try ONNXFile.encode(graph)
    #expect(again.count == bytes.count)
    #expect(try ONNXFile.encode(ONNXFile.decode(again, name: "m.onnx")) == again)
  }

  @Test func `a file that changes after it was read leaves the weights as they were`() throws {
    let folder = TemporaryFolder()
    // Larger than pages, at an address that no element is at.
    let weight = Tensor.counting([5000])
    let bytes = WireBytes.model { graph in
      graph.initializer(type: 1, dims: [5000]) {
        $0.data(9, weight.withUnsafeBytes { [UInt8]($0) })
      }
    }
    let path = folder.file("m.onnx", bytes)
    let graph = try ONNXFile.read(path: path)
    // In place: no other file takes its name.
    #expect(truncate(path, 0) == 0)
    #expect(graph.initializers["w"]?.tensor == weight)
  }

  @Test func `raw data of a tensor that is only carried along stay in it`() throws {
    let raw: [UInt8] = [11, 22, 33, 44, 55, 66, 77, 88]
    func bytes(type: Int, _ reference: String?) -> [UInt8] {
      WireBytes.model { graph in
        graph.message(1) { node in
          node.text(4, "Op")
          node.message(5) {
            $0.text(1, "a")
            $0.message(5) {
              $0.integer(2, type)
              $0.data(9, raw)
            }
            $0.integer(20, 4)
            if let reference { $0.text(21, reference) }
          }
        }
      }
    }
    // complex64, which is no element type here, and an attribute that refers to a function's.
    for model in [bytes(type: 14, nil), bytes(type: 11, "outer")] {
      let written = try ONNXFile.encode(ONNXFile.decode(model, name: "m.onnx"))
      #expect(written.contains(raw))
      #expect(try ONNXFile.encode(ONNXFile.decode(written, name: "m.onnx")) == written)
    }
  }

  @Test func `raw data of no bytes do not stand in the way of typed data`() throws {
    let bytes = WireBytes.model { graph in
      graph.initializer(type: 1, dims: [2]) {
        $0.data(9, [])
        $0.float(4, 1.5)
        $0.float(4, -2)
      }
    }
    #expect(
      try ONNXFile.decode(bytes, name: "m.onnx").initializers["w"]?.tensor
        == Tensor([1.5, -2] as [Float]))
  }

  @Test func `raw data given twice are the second ones`() throws {
    let bytes = WireBytes.model { graph in
      graph.initializer(type: 2, dims: [2]) {
        $0.data(9, [1, 2, 3])
        $0.data(9, [4, 5])
      }
    }
    #expect(
      try ONNXFile.decode(bytes, name: "m.onnx").initializers["w"]?.tensor
        == Tensor([4, 5] as [UInt8]))
  }
}
