internal import BillhookFormats
internal import BillhookGraph
internal import BillhookTensor
internal import BillhookTestSupport
internal import OrderedCollections
internal import Testing

@Suite struct SparseTensorTests {
  /// A sparse tensor of floats named `s`.
  private static func sparse(
    _ values: [Float], _ indices: [Int], indexShape: [Int], dims: [Int], indexType: Int = 7
  ) -> [UInt8] {
    WireBytes.message { sparse in
      sparse.message(1) { tensor in
        tensor.integer(1, values.count)
        tensor.integer(2, 1)
        tensor.text(8, "s")
        tensor.data(9, Tensor(values).withUnsafeBytes { [UInt8]($0) })
      }
      sparse.message(2) { tensor in
        for size in indexShape { tensor.integer(1, size) }
        tensor.integer(2, indexType)
        for index in indices { tensor.integer(7, index) }
      }
      for size in dims { sparse.integer(3, size) }
    }
  }

  private static func decode(_ sparse: [UInt8]) throws -> Graph {
    try ONNXFile.decode(WireBytes.model { $0.data(15, sparse) }, name: "m.onnx")
  }

  @Test func `sparse initializers become dense, by elements or by axes, in any order`() throws {
    let expected = Tensor([0, 5, 0, 0, 0, -1] as [Float], shape: [2, 3])
    for sparse in [
      Self.sparse([5, -1], [1, 5], indexShape: [2], dims: [2, 3]),
      Self.sparse([-1, 5], [1, 2, 0, 1], indexShape: [2, 2], dims: [2, 3]),
    ] {
      let graph = try Self.decode(sparse)
      #expect(graph.initializers["s"]?.tensor == expected)
      let bytes = try ONNXFile.encode(graph)
      let again = try ONNXFile.decode(bytes, name: "m.onnx")
      #expect(again.initializers["s"]?.tensor == expected)
      #expect(try ONNXFile.encode(again) == bytes)
    }
    let none = try Self.decode(Self.sparse([], [], indexShape: [0], dims: [2]))
    #expect(none.initializers["s"]?.tensor == Tensor([0, 0] as [Float]))
  }

  @Test func `the sparse value of a Constant is its value`() throws {
    let attribute = WireBytes.message {
      $0.text(1, "sparse_value")
      $0.integer(20, 11)
      $0.data(22, Self.sparse([2], [1], indexShape: [1], dims: [3]))
    }
    let bytes = WireBytes.model {
      $0.data(1, WireBytes.node("Constant", [], ["c"], attributes: [attribute]))
    }
    let graph = try ONNXFile.decode(bytes, name: "m.onnx")
    #expect(graph.nodes[0].constantTensor == Tensor([0, 2, 0] as [Float]))
  }

  @Test func `places that do not fit the shape are errors`() {
    func failure(_ indices: [Int], _ indexShape: [Int], type: Int = 7) -> String {
      sentence {
        _ = try Self.decode(
          Self.sparse(
            [1, 2], indices, indexShape: indexShape, dims: [2, 3], indexType: type))
      }
    }
    func message(_ found: String, _ expected: String) -> String {
      """
      Cannot read "m.onnx" as ONNX: at sparse initializer "s", found \(found), but expected \
      \(expected). The file is damaged, cut short or of another kind; copy or export it again.
      """
    }
    #expect(failure([0, 6], [2]) == message("value 1 at [6]", "0..<6"))
    #expect(failure([0, -1], [2]) == message("value 1 at [-1]", "0..<6"))
    #expect(
      failure([0, 0, 1, 3], [2, 2]) == message("value 1 at [1, 3]", "a place in shape [2, 3]"))
    #expect(failure([4, 4], [2]) == message("two values for element 4", "one at most"))
    #expect(
      failure([0, 1, 2], [3])
        == message(
          "values of shape [2] at indices of int64 [3]",
          "values [n] at indices of int64 [n] or [n, 2]"))
  }

  @Test func `a shape too large to be dense is refused before it is made`() {
    let start = "Cannot read \"m.onnx\" as ONNX: at sparse initializer \"s\", found "
    #expect(
      sentence {
        _ = try Self.decode(Self.sparse([1], [0], indexShape: [1], dims: [1 << 30, 3]))
      } == start + """
        12884901888 bytes for shape [1073741824, 3] of float32, which is not supported. Supported: \
        sparse tensors of 2147483648 bytes in all when they are dense.
        """)
    #expect(
      sentence {
        _ = try Self.decode(Self.sparse([1], [0], indexShape: [1], dims: [1 << 40, 1 << 40]))
      } == start + """
        shape [1099511627776, 1099511627776], but expected sizes of 0 or more that fit into memory. \
        The file is damaged, cut short or of another kind; copy or export it again.
        """)
  }

  @Test func `a name that a dense initializer has too is an error`() {
    let bytes = WireBytes.model {
      $0.initializer(type: 1, dims: [1], name: "s") { $0.data(9, [0, 0, 0, 0]) }
      $0.data(15, Self.sparse([1], [0], indexShape: [1], dims: [1]))
    }
    #expect(
      sentence { _ = try ONNXFile.decode(bytes, name: "m.onnx") } == """
        Cannot read "m.onnx" as ONNX: at sparse initializer "s", found the name twice, but expected \
        it once. The file is damaged, cut short or of another kind; copy or export it again.
        """)
  }
}
