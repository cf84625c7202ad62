internal import BillhookFormats
internal import BillhookTensor
internal import BillhookTestSupport
internal import OrderedCollections
internal import Testing

@Suite struct SafetensorsFileTests {
  private let folder = TemporaryFolder()

  private static func file(_ header: String, _ data: [UInt8] = []) -> [UInt8] {
    let text = Array(header.utf8)
    return withUnsafeBytes(of: UInt64(text.count).littleEndian) { [UInt8]($0) } + text + data
  }

  private static let sample: OrderedDictionary<String, Tensor> = [
    "zeta": .counting([2, 3]), "scalar": Tensor(scalar: -7 as Int64),
    "none": Tensor(zeros: [0, 5]),
    "flags": Tensor([true, false, true]), "half": Tensor([1.5, -2] as [Float16]),
    "brain \"π\"\n": Tensor(zeros: [3], .bfloat16),
  ]

  private func failure(_ bytes: [UInt8]) -> String {
    let path = folder.file("m.safetensors", bytes)
    return sentence { _ = try SafetensorsFile.read(path: path) }
  }

  private func message(_ location: String, _ found: String, _ expected: String) -> String {
    """
    Cannot read "\(folder("m.safetensors"))" as safetensors: at \(location), found \(found), but \
    expected \(expected). The file is damaged, cut short or of another kind; copy or export it again.
    """
  }

  @Test func `tensors, their order and the metadata are read as they were written`() throws {
    let metadata: OrderedDictionary = [
      "format": "pt", "a": "quote \" slash \\ tab \t bell \u{7} é",
    ]
    try SafetensorsFile(tensors: Self.sample, metadata: metadata).write(to: folder("a.safetensors"))
    let read = try SafetensorsFile.read(path: folder("a.safetensors"))
    #expect(read.metadata == metadata)
    #expect(Array(read.tensors.keys) == Array(Self.sample.keys))
    #expect(Array(read.tensors.values) == Array(Self.sample.values))
    try read.write(to: folder("b.safetensors"))
    #expect(folder.bytes("a.safetensors") == folder.bytes("b.safetensors"))
    #expect(folder.names == ["a.safetensors", "b.safetensors"])
  }

  @Test(arguments: ElementType.allCases)
  func `every element type goes there and back`(type: ElementType) throws {
    let tensor = Tensor(zeros: [2, 2], type)
    try SafetensorsFile(tensors: ["t": tensor]).write(to: folder("a.safetensors"))
    #expect(try SafetensorsFile.read(path: folder("a.safetensors")).tensors == ["t": tensor])
  }

  @Test func `the order is that of the bytes, not that of the header`() throws {
    let header = """
      {"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}, "extra":{"dtype":"U8","shape":[0],\
      "data_offsets":[2,2],"unknown":{"x":[null,true,1.5]}},
      "a\\u00e9\\ud83d\\ude00":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}  
      """
    let path = folder.file("m.safetensors", Self.file(header, [10, 20]))
    let read = try SafetensorsFile.read(path: path)
    #expect(Array(read.tensors.keys) == ["aé😀", "b", "extra"])
    #expect(read.tensors["b"] == Tensor([20] as [UInt8]))
  }

  @Test func `a file can be overwritten by what was read from it`() throws {
    let path = folder("a.safetensors")
    try SafetensorsFile(tensors: Self.sample).write(to: path)
    var file = try SafetensorsFile.read(path: path)
    file.tensors.removeValue(forKey: "scalar")
    try file.write(to: path)
    #expect(try SafetensorsFile.read(path: path).tensors.count == Self.sample.count - 1)
    #expect(file.tensors["zeta"] == Self.sample["zeta"])
  }

  @Test func `a writer takes only what was declared, and all of it`() throws {
    let entries = [
      SafetensorsEntry(name: "a", elementType: .float32, shape: [2]),
      SafetensorsEntry(name: "b", elementType: .int8, shape: [1]),
    ]
    var writer: SafetensorsWriter? = try SafetensorsWriter(
      path: folder("w.safetensors"), entries: entries)
    #expect(
      sentence { try writer?.append(Tensor([1, 2] as [Int8])) }
        == """
        Cannot write safetensors: at tensor "a", found shape [2] of int8, but the format needs shape \
        [2] of float32, as the header declares.
        """)
    try writer?.append(.counting([2]))
    #expect(
      sentence { try writer?.finish() }
        == """
        Cannot write safetensors: at tensor "b", found no bytes for it, but the format needs all 2 \
        tensors of the header.
        """)
    writer = nil
    #expect(folder.names == [])
    writer = try SafetensorsWriter(path: folder("w.safetensors"), entries: [])
    #expect(
      sentence { try writer?.append(.counting([2])) }
        == """
        Cannot write safetensors: at the end of the file, found another tensor, but the format needs \
        the 0 that the header declares.
        """)
    #expect(
      sentence {
        _ = try SafetensorsWriter(path: folder("w.safetensors"), entries: [entries[0], entries[0]])
      }
        == """
        Cannot write safetensors: at tensor "a", found a name that is taken, but the format needs \
        names that differ from each other and from "__metadata__".
        """)
  }

  @Test func `wrong lengths are errors, whatever they claim`() {
    #expect(
      failure([1, 2, 3])
        == message("byte 0 (header length)", "the end of the file at byte 3", "8 bytes"))
    #expect(
      failure([255, 255, 255, 255, 255, 255, 255, 255])
        == message("byte 0 (header length)", "18446744073709551615", "a number below 2^63"))
    #expect(
      failure([0, 0, 0, 0, 1, 0, 0, 0, 0x7B, 0x7D])
        == message(
          "byte 0 (header length)", "4294967296", "2 to 2 in a file of 10 bytes"))
  }

  @Test(arguments: [
    ("[]", "byte 8 (header)", "no object", "a JSON object"),
    ("{]", "byte 9 (header)", "\"]\"", "a key in double quotes"),
    ("{\"a\" 1}", "byte 13 (header)", "\"1\"", "\":\""),
    ("{\"a\":tru}", "byte 16 (header)", "\"}\"", "\"true\""),
    ("{\"a\":1,\"a\":2}", "byte 15 (header)", "the key \"a\" twice", "each key once"),
    ("{} x", "byte 11 (header)", "\"x\"", "the end of the header"),
    (
      "{\"a", "byte 11 (header)", "the end of the header",
      "the end of the text that starts at byte 9"
    ),
    ("{\"\\x\"}", "byte 11 (header)", "\"x\"", "an escaped character"),
    ("{\"\\ud800\"}", "byte 12 (header)", "\"d\"", "a pair of surrogates"),
    ("{\"a\":1}", "tensor \"a\"", "1", "an object with dtype, shape and data_offsets"),
    ("{\"__metadata__\":{\"a\":1}}", "__metadata__ entry \"a\"", "1", "a text"),
    ("{\"a\":{}}", "dtype of tensor \"a\"", "nothing", "a text"),
    (
      "{\"a\":{\"dtype\":\"I8\",\"shape\":[-1]}}", "shape of tensor \"a\"", "-1",
      "integers of 0 or more"
    ),
    (
      "{\"a\":{\"dtype\":\"I8\",\"shape\":[1099511627776,1099511627776]}}", "shape of tensor \"a\"",
      "[1099511627776, 1099511627776]", "a size that fits into memory"
    ),
    (
      "{\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0]}}",
      "data_offsets of tensor \"a\"",
      "[0]", "a start and an end within the 0 bytes of data"
    ),
    (
      "{\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,0]}}",
      "data_offsets of tensor \"a\"", "0 bytes", "1 for shape [1] of int8"
    ),
  ])
  func `a wrong header names the place`(
    header: String, location: String, found: String, expected: String
  ) {
    #expect(failure(Self.file(header)) == message(location, found, expected))
  }

  @Test func `holes, overlaps and left-over bytes are errors`() {
    let entry = { (name: String, start: Int) in
      "\"\(name)\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[\(start),\(start + 2)]}"
    }
    let data: [UInt8] = [1, 2, 3, 4, 5]
    #expect(
      failure(Self.file("{\(entry("a", 0)),\(entry("b", 3))}", data))
        == message(
          "data_offsets of tensor \"b\"", "a start of 3", "2, where the tensor before it ends"))
    #expect(
      failure(Self.file("{\(entry("a", 0)),\(entry("b", 1))}", data))
        == message(
          "data_offsets of tensor \"b\"", "a start of 1", "2, where the tensor before it ends"))
    #expect(
      failure(Self.file("{\(entry("a", 0)),\(entry("b", 2))}", data))
        == message("byte 117", "1 bytes that belong to no tensor", "the end of the file"))
  }

  @Test func `bytes that are no bool and types that are unknown are refused`() {
    let header = { (type: String) in
      "{\"a\":{\"dtype\":\"\(type)\",\"shape\":[2],\"data_offsets\":[0,2]}}"
    }
    #expect(
      failure(Self.file(header("BOOL"), [1, 2]))
        == message("byte 64 (tensor \"a\")", "2", "0 or 1, the values of a bool"))
    #expect(
      failure(Self.file(header("F8_E4M3"), [1, 2]))
        == """
        Cannot read "\(folder("m.safetensors"))" as safetensors: at dtype of tensor "a", found \
        "F8_E4M3", which is not supported. Supported: BF16, F16, F32, F64, I8, U8, I16, U16, I32, \
        U32, I64, U64, BOOL.
        """)
  }

  @Test func `deep nesting is refused before it exhausts the stack`() {
    let header = "{\"a\":" + String(repeating: "[", count: 100_000)
    #expect(
      failure(Self.file(header))
        == message("byte 28 (header)", "more than 16 levels", "fewer levels"))
  }

  @Test func `every shorter file is an error`() throws {
    try SafetensorsFile(tensors: Self.sample, metadata: ["k": "v"]).write(
      to: folder("a.safetensors"))
    let bytes = folder.bytes("a.safetensors")
    for length in Damage.lengths(of: bytes) {
      #expect(failure(Array(bytes[..<length])).hasPrefix("Cannot read"), "length \(length)")
    }
  }

  @Test(arguments: 0..<10 as Range<UInt64>)
  func `flipped bits give tensors that can be read, or an error`(seed: UInt64) throws {
    try SafetensorsFile(tensors: Self.sample).write(to: folder("a.safetensors"))
    for damaged in Damage.flips(of: folder.bytes("a.safetensors"), seed: seed) {
      let path = folder.file("m.safetensors", damaged)
      guard let file = try? SafetensorsFile.read(path: path) else { continue }
      for tensor in file.tensors.values { #expect(tensor.floats().count == tensor.count) }
    }
  }
}
