import BillhookTensor
import Testing

@testable import BillhookPlugins

@Suite struct PlainSignatureParserTests {
  @Test(arguments: [
    ("float fabsf(float)", "float fabsf(float)"),
    ("  void\tf ( ) ;", "void f()"),
    ("void f(void)", "void f()"),
    ("int f(const float *x, unsigned int n)", "int f(const float* x, unsigned n)"),
    ("size_t f(float const* restrict x, int64_t n)", "size_t f(const float* x, int64_t n)"),
    ("double f(const void*, void*, uint8_t*)", "double f(const void*, void*, uint8_t*)"),
  ])
  func `a declaration is read whatever its spelling`(text: String, spelled: String) throws {
    #expect(try PlainSignatureParser.parse(text).description == spelled)
  }

  @Test(arguments: [
    ("long f(int)", "the size of \"long\" differs between machines: write int64_t or int32_t"),
    ("void f(long double x)", "\"long double\" cannot be passed"),
    (
      "void f(unsigned long x)",
      "the size of \"long\" differs between machines: write int64_t or int32_t"
    ),
    ("void f(char* x)", "write int8_t or uint8_t instead of \"char\""),
    ("void f(bool x)", "\"bool\" cannot be passed: write uint8_t if that is its size"),
    (
      "void f(_Float16 x)",
      "16-bit floats cannot be passed by value: declare a pointer to them as void*"
    ),
    (
      "void f(struct block* x)",
      "structs by value cannot be passed, and a pointer to one is declared void*"
    ),
    (
      "int f(const float* x, ...)",
      "a variable number of arguments (\"...\") is called in another way"
    ),
    ("void f(int (*g)(int))", "argument 1 is a function pointer, which cannot be passed"),
    ("void f(float** x)", "argument 1 points at pointers, whose targets have no known size"),
    ("void f(float x[3])", "argument 1 is an array: write a pointer instead"),
    ("void f(float[])", "argument 1 is an array: write a pointer instead"),
    ("void f(void)(int)", "\"(\" follows the declaration"),
    ("void f(void x)", "argument 1 is void"),
    ("f(float)", "the type of the result is missing before \"f\""),
    ("float f(flaot)", "\"flaot\" is not a known type; did you mean float?"),
    ("float f(float", "\")\" is missing at the end"),
    ("float (float)", "the function's name is missing before \"(\""),
    ("float* f(float)", "a returned pointer cannot be used: nobody knows its size or who frees it"),
    (
      "uint8_t f(float)",
      "a result must be void, int, int32_t, int64_t, uint32_t, uint64_t, size_t, float or double, "
        + "not uint8_t"
    ),
    ("void f(int a, int a)", "two arguments are called \"a\""),
    ("", "the type of the result is missing at the end"),
  ])
  func `what cannot be called is refused with the reason`(text: String, reason: String) {
    #expect(
      sentence { _ = try PlainSignatureParser.parse(text) }
        == "The signature \"\(text)\" cannot be called: \(reason)"
        + (reason.hasSuffix("?") ? "" : "."))
  }

  @Test func `a function may have sixteen arguments and no more`() throws {
    func text(_ count: Int) -> String {
      "void f(\([String](repeating: "int", count: count).joined(separator: ", ")))"
    }
    #expect(try PlainSignatureParser.parse(text(16)).parameters.count == 16)
    #expect(
      sentence { _ = try PlainSignatureParser.parse(text(17)) }?
        .hasSuffix("cannot be called: it has more than 16 arguments.") == true)
  }

  /// Texts of the grammar's own words in any order, and of any bytes.
  @Test(arguments: UInt64(0)..<40)
  func `any text is read or refused, and what is read is read again`(seed: UInt64) {
    let words = [
      "float", "double", "int", "void", "const", "size_t", "unsigned", "long", "struct", "*", "**",
      "(", ")", ",", "...", ";", " ", "f", "x", "_", "[", "]", "3", "int64_t", "\u{e9}", "\0", "::",
    ]
    var random = CounterRandom(seed: seed)
    func below(_ limit: Int) -> Int { min(Int(random.uniform() * Float(limit)), limit - 1) }
    var readable = 0
    for _ in 0..<500 {
      var text = ""
      switch below(3) {
      case 0:
        for _ in 0..<below(24) { text += words[below(words.count)] + (below(2) == 0 ? " " : "") }
      case 1:
        text = String(decoding: (0..<below(60)).map { _ in UInt8(below(256)) }, as: UTF8.self)
      default:
        text = "float f(const float* x, size_t n, double y)"
        var scalars = Array(text.unicodeScalars)
        for _ in 0...below(3) {
          scalars[below(scalars.count)] = words[below(words.count)].unicodeScalars.first!
        }
        text = String(String.UnicodeScalarView(scalars))
      }
      guard let signature = try? PlainSignatureParser.parse(text) else { continue }
      readable += 1
      let again = try? PlainSignatureParser.parse(signature.description)
      #expect(again?.description == signature.description)
    }
    #expect(readable > 0)
  }
}
