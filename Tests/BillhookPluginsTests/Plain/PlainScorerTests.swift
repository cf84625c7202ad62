import BillhookPlugins
import BillhookTensor
import Foundation
import Testing

@Suite struct PlainScorerTests {
  private let weight = Tensor([1, -2, 3, -4, 5, -6] as [Float], shape: [2, 3])

  @Test func `a function of the C library scores elements`() throws {
    let plugin = try PluginCatalog(folders: []).plugin(
      "ffi:libm.so.6:float fabsf(float)", hook: .scorer)
    let scorer = try plugin.makeScorer()
    #expect(plugin.descriptor.id == "ffi.libm.so.6.fabsf")
    #expect(plugin.descriptor.plain?.functions.map(\.signature) == ["float fabsf(float)"])
    #expect(plugin.descriptor.module.sha256.count == 64)
    #expect(scorer.isChunked)
    let scores = try scorer.score(layer(), granularity: .element, weight: weight)
    #expect(scores == Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3]))
  }

  @Test(
    arguments: [
      ("float square(float)", [1, 4, 9, 16, 25, 36]),
      ("double cube(double)", [1, -8, 27, -64, 125, -216]),
      ("float blend(float, float)|element,const:0.5", [0.5, 1, 1.5, 2, 2.5, 3]),
      ("float blend(float x, float y)|const:1,element", [1, -2, 3, -4, 5, -6]),
      ("float by_reference(const float*, const int*)|&element,&const:2", [1, 4, 9, 16, 25, 36]),
      (
        "void powers(const float*, size_t, double, float*)|weight.data,weight.count,2,scores.data",
        [1, 4, 9, 16, 25, 36]
      ),
      (
        "void double_powers(const double*, int64_t, double*)|weight.data,weight.count,scores.data;"
          + "convert=true", [1, 4, 9, 16, 25, 36]
      ),
      (
        "int checked_powers(const float*, int, int, float*)|weight.data,weight.count,const:5000,"
          + "scores.data", [1, 2, 3, 4, 5, 6]
      ),
    ] as [(String, [Float])])
  func `elements are scored one by one or all at once`(form: String, expected: [Float]) throws {
    #expect(try plainScores(form, weight) == Tensor(expected, shape: [2, 3]))
  }

  @Test func `rows are output channels, or input channels wherever they lie`() throws {
    let form = "float row_sum(const float*, uint32_t, int32_t)|row.data,row.count,const:1"
    let scorer = try plainPlugin(form).makeScorer()
    func scores(_ layer: LayerContext, _ granularity: Granularity) throws -> Tensor? {
      try scorer.score(layer, granularity: granularity, weight: weight)
    }
    #expect(try scores(layer(), .outputChannel) == Tensor([6, 15] as [Float]))
    #expect(try scores(layer(), .inputChannel) == Tensor([5, 7, 9] as [Float]))
    #expect(
      try scores(layer(outAxis: 1, inAxis: 0), .outputChannel) == Tensor([5, 7, 9] as [Float]))
    // Two groups of one output and three inputs each.
    #expect(try scores(layer(groups: 2), .inputChannel) == Tensor([1, 2, 3, 4, 5, 6] as [Float]))
  }

  @Test func `a function may go by shape and strides and use scratch memory`() throws {
    let form =
      "void matrix_rows(const float* w, const int64_t* shape, const int64_t* strides, int ndim, "
      + "void* scratch, const void* nothing, float* out)|weight.data,weight.shape,weight.strides,"
      + "weight.ndim,scratch:8*rows,null,scores.data;granularity=output-channel"
    #expect(try plainScores(form, weight, .outputChannel) == Tensor([6, 15] as [Float]))
  }

  @Test func `a status is success or the call's failure`() throws {
    let form =
      "int checked_powers(const float*, int, int, float*)|weight.data,weight.count,const:4096,"
      + "scores.data"
    let large = randomTensor([50, 100], seed: 1)
    let scorer = try plainPlugin(form).makeScorer()
    let text = sentence {
      _ = try scorer.score(layer(), granularity: .element, weight: large)
    }
    #expect(text?.contains("checked_powers returned -7, but 0 is success") == true)
  }

  @Test(arguments: [0, 1, 15, 16 * 1024, 16 * 1024 + 1])
  func `a call by value, one by address and one through libffi give the same bytes`(
    count: Int
  ) throws {
    let weight = randomTensor([1, count], seed: UInt64(count))
    let typed = try plainScores("float square(float)", weight)
    let pointer = try plainScores("float square_at(const float*)|&element", weight)
    let array = try plainScores(
      "void powers(const float*, size_t, double, float*)|weight.data,weight.count,2,scores.data",
      weight)
    // More integers than there are registers for them.
    let many = try plainScores(
      "float square_of_many(int, int, int, int, int, int, int, float)"
        + "|const:1,const:2,const:3,const:4,const:5,const:6,const:7,element", weight)
    #expect(typed == pointer)
    #expect(typed == many)
    #expect(typed?.count == count)
    #expect(array?.count == count)
  }

  @Test func `arguments of each type are what C means by them`() throws {
    let weight = randomTensor([3, 7], seed: 8, scale: 3)
    let numbers = weight.elements(of: Float.self).map(Double.init)
    let signed = "double mixed(int, float, double, int64_t)|const:-3,element,const:0.5,const:-7"
    #expect(
      try plainScores(signed, weight)?.elements(of: Float.self)
        == numbers.map { Float(-3 + 2 * $0 + 0.5 * -7) })
    let unsigned = "double wide(uint32_t, int64_t, float)|const:4000000000,const:-7,element"
    #expect(
      try plainScores(unsigned, weight)?.elements(of: Float.self)
        == numbers.map { Float(4e9 - 7 * $0) })
  }

  @Test func `a manifest declares parameters, and says what the inline form says`() throws {
    let folder = TemporaryFolderOfPlugins()
    let manifest = try folder.manifest(
      """
      {"schema": "billhook.plain/1", "library": "\(try plainLibrary())", "license": "MIT",
       "functions": [{"id": "org.example.alpha", "hook": "scorer", "symbol": "powers",
         "signature": "void score(const float* w, size_t n, double alpha, float* out)",
         "bind": {"w": "weight.data", "n": "weight.count", "alpha": "param.alpha",
                  "out": "scores.data"},
         "params": [{"key": "alpha", "type": "f64", "default": 1, "min": 0, "max": 4,
                     "doc": "exponent of |w|"}],
         "caps": ["deterministic", "concurrent", "chunked"], "returns": "none"}]}
      """)
    let catalog = PluginCatalog(folders: [])
    let plugin = try catalog.plugin(manifest, hook: .scorer)
    #expect(plugin.descriptor.module.license == "MIT")
    #expect(plugin.descriptor.capabilities == [.deterministic, .concurrent, .chunked, .dataFree])
    func scores(_ alpha: Double) throws -> Tensor? {
      try plugin.makeScorer(["alpha": .double(alpha)])
        .score(layer(), granularity: .element, weight: weight)
    }
    #expect(try scores(2) == Tensor([1, 4, 9, 16, 25, 36] as [Float], shape: [2, 3]))
    #expect(
      sentence { _ = try scores(5) }
        == "Parameter \"alpha\" of plugin \"org.example.alpha\" is 5 but must be a number from 0 to 4."
    )
    // What `plugin show` prints can be used as it is.
    let again = try folder.manifest(try #require(plugin.descriptor.plain?.manifest))
    #expect(try catalog.plugin(again, hook: .scorer).descriptor == plugin.descriptor)
    // A folder that is searched offers it by id, once it is trusted: this declaration and no other.
    var settings = try separateSettings(nil)
    settings.home.searchFolders = [folder.path]
    #expect(PluginCatalog(folders: [], settings: settings).descriptors.isEmpty)
    let account = try #require(try catalog.why(manifest))
    #expect(account.sha256 != plugin.descriptor.module.sha256)
    try PluginPolicy(rules: [.init(sha256: account.sha256, isolation: .inproc)])
      .write(to: settings.home.policyPath)
    let found = PluginCatalog(folders: [], settings: settings)
    #expect(found.descriptors.map(\.id) == ["org.example.alpha"])
    #expect(found.failures.map(\.path) == [again])
    let here = try found.plugin("alpha", hook: .scorer)
    #expect(here.isolation == .inproc)
    #expect(plugin.isolation == .worker)
    #expect(
      try here.makeScorer(["alpha": .double(2)])
        .score(layer(), granularity: .element, weight: weight) == scores(2))
  }

  @Test func `a promise to need no data is refused where a statistic is bound`() throws {
    let folder = TemporaryFolderOfPlugins()
    let manifest = try folder.manifest(
      """
      {"schema": "billhook.plain/1", "library": "\(try plainLibrary())", "functions": [{
        "id": "org.example.norm", "hook": "scorer", "granularity": "element", "caps": "data-free",
        "signature": "void powers(const float* w, size_t n, double alpha, float* out)",
        "bind": {"w": "stats.in_sq_norm.data", "n": "weight.count", "alpha": "1",
                 "out": "scores.data"}}]}
      """)
    #expect(
      sentence { _ = try PluginCatalog(folders: []).plugin(manifest, hook: .scorer) }
        == "In \"\(manifest)\" \"org.example.norm.caps\" is \"data-free\" but must be left out: the "
        + "bindings ask for in_sq_norm.")
  }
}
