import BillhookPlugins
import Testing

@Suite struct PlainBindingTests {
  private static let powers = "void powers(const float* w, size_t n, double alpha, float* out)"

  @Test(arguments: [
    (
      "weight.data,weight.count,const:1",
      "The function \"powers\" cannot be used: it has 4 arguments and 3 bindings."
    ),
    (
      "weight.data,weight.count,const:1,weight.data",
      "Argument \"out\" of \"powers\" cannot be \"weight.data\": it is an input, and the argument is "
        + "not const: declare it const if it only reads."
    ),
    (
      "scores.data,weight.count,const:1,scores.data",
      "Argument \"w\" of \"powers\" cannot be \"scores.data\": it is an output, and the argument is "
        + "const."
    ),
    (
      "weight.data,const:-1,const:1,scores.data",
      "Argument \"n\" of \"powers\" cannot be \"const:-1\": -1 does not fit size_t."
    ),
    (
      "weight.data,const:0.5,const:1,scores.data",
      "Argument \"n\" of \"powers\" cannot be \"const:0.5\": 0.5 is no whole number, and the argument "
        + "is size_t."
    ),
    (
      "weight.data,weight.count,weight.count,scores.data",
      "Argument \"alpha\" of \"powers\" cannot be \"weight.count\": it is a whole number, and the "
        + "argument is double."
    ),
    (
      "weight.data,weight.count,param.alpha,scores.data",
      "Argument \"alpha\" of \"powers\" cannot be \"param.alpha\": \"params\" declares no \"alpha\"; "
        + "it declares none."
    ),
    (
      "weight.data,&weight.count,const:1,scores.data",
      "Argument \"n\" of \"powers\" cannot be \"&weight.count\": it is an address, and the argument "
        + "is size_t."
    ),
    (
      "weight.data,null,const:1,scores.data",
      "Argument \"n\" of \"powers\" cannot be \"null\": null is a pointer, and the argument is size_t."
    ),
    (
      "weigth.data,weight.count,const:1,scores.data",
      "Argument \"w\" of \"powers\" cannot be \"weigth.data\": \"weigth.data\" is no binding; did you "
        + "mean \"weight.data\"?"
    ),
    (
      "weight.data,weight.count,const:1,scratch:4*cols",
      "The function \"powers\" cannot be used: nothing writes the scores: bind \"returns\": \"score\" "
        + "or scores.data."
    ),
    (
      "null,weight.count,const:1,scores.data",
      "The function \"powers\" cannot be used: nothing reads weight.data or row.data."
    ),
    (
      "weight.data,weight.count,element,scores.data",
      "Argument \"w\" of \"powers\" cannot be \"weight.data\": a function that is called once an "
        + "element gets only elements and constants."
    ),
    (
      "row.data,row.count,const:1,scores.data",
      "The function \"powers\" cannot be used: it is called once a row, and would write scores.data "
        + "each time: bind row.out."
    ),
    (
      "student.data,weight.count,const:1,scores.data",
      "Argument \"w\" of \"powers\" cannot be \"student.data\": a function for \"scorer\" has no "
        + "\"student\"; it has \"weight\", \"grad\", \"mask\", \"stats.in_abs_mean\", "
        + "\"stats.in_sq_norm\", \"stats.out_abs_mean\", \"stats.out_zero_fraction\", \"scores\", "
        + "\"row\", \"row.out\"."
    ),
    (
      "weight.data,weight.count,const:1,scratch:4*(rows",
      "Argument \"out\" of \"powers\" cannot be \"scratch:4*(rows\": a \")\" is missing in a size."
    ),
  ])
  func `a wrong binding is refused with the reason`(bindings: String, expected: String) throws {
    #expect(try refusal("\(Self.powers)|\(bindings)") == expected)
  }

  @Test func `an element type that does not fit is named, with the way out`() throws {
    let form =
      "void double_powers(const double* w, int64_t n, double* out)|"
      + "weight.data,weight.count,scores.data"
    #expect(
      try refusal(form)
        == "Argument \"w\" of \"double_powers\" cannot be \"weight.data\": its elements are float and "
        + "the argument points at double; \"convert\": true converts them.")
  }

  @Test func `a function without bindings says what is missing`() throws {
    #expect(
      try refusal(Self.powers)
        == "The function \"powers\" cannot be used: its arguments are not bound; only a scorer of the "
        + "form T f(T), with float or double, needs no bindings.")
  }

  @Test(arguments: [
    ("ffi:libm.so.6", "the signature is missing"),
    ("ffi::float f(float)", "the library is missing"),
    (
      "ffi:libm.so.6:float fabsf(float);retuns=score",
      "there is no option \"retuns\"; did you mean \"returns\"?"
    ),
    (
      "ffi:libm.so.6:float fabsf(float);float expf(float)",
      "a scorer has one function, and it has 2"
    ),
    (
      "ffi:libm.so.6:float fabsf(float);row_block=32",
      "row_block is \"32\", not VALUES/BYTES as in 32/18"
    ),
  ])
  func `a wrong inline form is refused with the reason`(text: String, reason: String) {
    #expect(
      sentence { _ = try PluginCatalog(folders: []).plugin(text, hook: .scorer) }
        == "\"\(text)\" is no plain function: \(reason)\(reason.hasSuffix("?") ? "" : ".") Write ffi:LIBRARY:SIGNATURE|BINDINGS, as in "
        + "\"ffi:libm.so.6:float fabsf(float)\".")
  }

  @Test func `a missing library and a missing function are named`() throws {
    #expect(
      sentence {
        _ = try PluginCatalog(folders: []).plugin("ffi:libnone.so.9:float f(float)", hook: .scorer)
      }
        == "There is no library \"libnone.so.9\" in the dynamic loader's cache or in the system's "
        + "folders; write its path, with a \"/\" in it.")
    let data = try #require(try refusal("float answer(float)"))
    #expect(
      data == "\"LIBRARY\" has no function \"answer\": it is data, or comes from another library.")
    let near = try #require(try refusal("float squar(float)"))
    #expect(
      near.hasSuffix(
        "functions, and none of that name; did you mean \"square\", \"square_at\" or "
          + "\"square_of_many\"?"))
  }
}
