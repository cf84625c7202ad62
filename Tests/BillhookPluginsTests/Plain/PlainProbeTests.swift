import BillhookPlugins
import Testing

@Suite struct PlainProbeTests {
  static let bindings = "|weight.data,weight.count,scores.data"

  @Test(arguments: [
    (
      "one_too_many", 1,
      "it touched memory behind the end of \"scores\" (signal 11, Segmentation fault)"
    ),
    (
      "reads_too_far", 1,
      "it touched memory behind the end of \"weight\" (signal 11, Segmentation fault)"
    ),
    ("leaves_last", 1, "it left element 0 of \"scores\" unwritten"),
    (
      "writes_input", 1,
      "it wrote to \"weight\", which is an input (signal 11, Segmentation fault)"
    ),
    ("crashes", 17, "it crashed (signal 11, Segmentation fault)"),
    ("aborts", 2, "it crashed (signal 6, Aborted)"),
    ("leaves", 1, "it ended the process with exit code 3"),
    ("hangs", 3, "it did not return within 10 seconds"),
  ])
  func `a function that misbehaves is refused before it sees real data`(
    name: String, count: Int, reason: String
  ) throws {
    let signature = "void \(name)(const float*, size_t, float*)"
    #expect(
      try refusal(signature + Self.bindings)
        == "\"\(signature)\" failed when it was tried on \(count) values, before any of your data: "
        + "\(reason). Check the signature and the bindings against the library's documentation.")
  }

  @Test func `a write before an output is found`() throws {
    let text = try refusal("void one_before(const float*, size_t, float*)" + Self.bindings)
    #expect(
      text?.contains("it wrote outside of \"scores\"") == true
        || text?.contains("it touched memory before the start of \"scores\"") == true)
  }

  @Test func `debug information confirms a signature or refuses it`() throws {
    let form = "float square(float)"
    let plain = try #require(try plainPlugin(form).descriptor.plain)
    #expect(plain.verification == "declared, unverified")
    let checked = try #require(
      try plainPlugin(form, debugInformation: true).descriptor.plain)
    #expect(checked.verification == "checked against debug information")
  }

  @Test(arguments: [
    (
      "double square(double)|element",
      "its debug information says that it returns float, not double"
    ),
    (
      "void powers(const float*, uint32_t, double, float*)|weight.data,weight.count,2,scores.data",
      "its debug information says that argument 2 is uint64_t, not uint32_t"
    ),
    (
      "void powers(const float*, size_t, float, float*)|weight.data,weight.count,2,scores.data",
      "its debug information says that argument 3 is double, not float"
    ),
    (
      "void powers(const float*, size_t, float*)|weight.data,weight.count,scores.data",
      "its debug information has 4 arguments, not 3"
    ),
    (
      "void double_powers(const float*, int64_t, float*)|weight.data,weight.count,scores.data",
      "its debug information says that argument 1 is double*, not const float*"
    ),
  ])
  func `a declaration that the library contradicts is refused`(form: String, reason: String) throws
  {
    let text = try #require(try refusal(form, debugInformation: true))
    #expect(text.hasSuffix("is not the library's own: \(reason)."), "\(text)")
  }
}
