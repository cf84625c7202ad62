internal import BillhookCompression
internal import BillhookFormats
internal import BillhookGraph
internal import BillhookKernels
internal import BillhookPlugins
internal import BillhookTensor
internal import Foundation
internal import OrderedCollections

/// Plugins in a process of their own: what a call costs while calls follow each other
/// (`worker-call`), after 5 ms of rest (`worker-call-idle`) and after such a rest with nothing of it
/// left in the caches (`worker-call-cold`), and a whole prune of ResNet-20 (`prune-resnet20-worker`;
/// the record's `inproc_s` is the same in this process).
func timeWorker(_ bench: Bench) throws {
  let rests = ["worker-call-idle", "worker-call-cold"]
  guard bench.wants("worker-call", rests[0], rests[1], "prune-resnet20-worker") else { return }
  let home = try TemporaryHome()
  let scorers = try [nil, Isolation.worker].map { isolation in
    try PluginCatalog(settings: PluginSettings(home: home.home, isolation: isolation))
      .plugin("magnitude", hook: .scorer).makeScorer()
  }
  let layer = LayerContext(
    role: .weight, index: 0, name: "w", op: "Gemm", outAxis: 0, inAxis: 1, groups: 1)
  let weight = normalTensor([1, 1], seed: 0)
  var found: Tensor?
  func call() throws { found = try scorers[1].score(layer, granularity: .element, weight: weight) }
  func check() throws {
    guard try found == scorers[0].score(layer, granularity: .element, weight: weight) else {
      throw WrongResult("the worker's scores are not those of this process")
    }
  }
  try bench.time("worker-call", calls: 2000, call, check: check)
  for work in rests where bench.wants(work) {
    let sweep = work == "worker-call-cold" ? CacheSweep() : nil
    var rest: [Double] = []
    try bench.time(work, runs: 50, warmUpRuns: 5) {
      sweep?.run()
      usleep(5000)
      let start = DispatchTime.now()
      try call()
      rest.append(Double(DispatchTime.now().uptimeNanoseconds - start.uptimeNanoseconds) * 1e-9)
    } extra: {
      // The record's own times hold the rest as well.
      ["call_s": median(Array(rest.dropFirst(5)))]
    } check: {
      try check()
    }
  }

  guard bench.wants("prune-resnet20-worker") else { return }
  let graph = try NetworkTemplate.resnet20.make(width: 16)
  let settings = PruneSettings(ratio: 0.5, scope: .global)
  func pruned(_ scorer: Scorer) throws -> Graph {
    try prune(graph, scorer: scorer, settings: settings).graph
  }
  var result: Graph?
  try bench.time("prune-resnet20-worker", runs: 15, warmUpRuns: 3) {
    result = try pruned(scorers[1])
  } extra: {
    let times = try bench.measure(runs: 15, warmUpRuns: 3) { _ = try pruned(scorers[0]) }
    return ["inproc_s": median(times.map(\.elapsed))]
  } check: {
    let expected = try pruned(scorers[0])
    guard let result,
      result.initializers.values.map(\.tensor) == expected.initializers.values.map(\.tensor)
    else {
      throw WrongResult("the worker's pruned network is not that of this process")
    }
  }
}

/// Reads more than the caches hold, on all cores.
private final class CacheSweep {
  // Written to: pages that never were are all the same one.
  private let block = Tensor([Float](repeating: 1, count: 16 << 20))

  func run() {
    block.withUnsafeElements(of: Float.self) {
      _ = bh_count_nonfinite_f32($0.baseAddress, Int64($0.count))
    }
  }
}

/// Finding 50 libraries in a folder and what they say of themselves: `plugins-50-cold` without a
/// cache, in this process and in a worker (`worker_s`), `plugins-50-cached` with one.
func timePluginLoading(_ bench: Bench) throws {
  guard bench.wants("plugins-50-cold", "plugins-50-cached") else { return }
  let home = try TemporaryHome()
  let folder = "\(home.folder)/plugins"
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  try compilePlugins(50, into: folder)
  var settings = PluginSettings(home: home.home)
  settings.home.searchFolders = [folder]
  let unknown = PluginCatalog(folders: [], settings: settings)
  func trust(_ isolation: Isolation) throws {
    let rules = try unknown.failures.compactMap { failure in
      try unknown.why(failure.path).map {
        PluginPolicy.Rule(sha256: $0.sha256, isolation: isolation)
      }
    }
    try PluginPolicy(rules: rules).write(to: settings.home.policyPath)
  }
  var count = 0
  var reason = ""
  func list() {
    let catalog = PluginCatalog(folders: [], settings: settings)
    count = catalog.descriptors.count
    reason = catalog.failures.first.map { ": \($0.error)" } ?? ""
  }
  func listCold() {
    try? FileManager.default.removeItem(atPath: settings.home.cacheFolder)
    list()
  }
  func check() throws {
    guard count == 50 else { throw WrongResult("\(count) plugins were found, not 50\(reason)") }
  }
  try trust(.inproc)
  try bench.time("plugins-50-cold", runs: 5, warmUpRuns: 0, listCold) {
    try trust(.worker)
    let times = try bench.measure(runs: 5, warmUpRuns: 1, listCold)
    try check()
    return ["worker_s": median(times.map(\.elapsed))]
  } check: {
    try check()
  }
  list()
  try bench.time("plugins-50-cached", list, check: check)
}

private func compilePlugins(_ count: Int, into folder: String) throws {
  let include = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("PluginSDK/include").path
  let source = "\(folder)/plugin.c"
  try Data(pluginSource.utf8).write(to: URL(fileURLWithPath: source))
  for index in 0..<count {
    let compiler = Process()
    compiler.executableURL = URL(fileURLWithPath: "/usr/bin/cc")
    compiler.arguments = [
      "-std=c11", "-O1", "-shared", "-fPIC", "-I", include, "-DID=\"org.example.p\(index)\"",
      source, "-o", "\(folder)/libbillhook-plugin-p\(index).so",
    ]
    try compiler.run()
    compiler.waitUntilExit()
    guard compiler.terminationStatus == 0 else {
      throw WrongResult("cc could not compile a plugin")
    }
  }
}

private let pluginSource = """
  #include "billhook/billhook.h"
  static bh_status create(bh_call *c, const bh_value *v, void **s) {
    (void)c, (void)v;
    *s = 0;
    return BH_OK;
  }
  static void destroy(void *s) { (void)s; }
  static bh_status score(void *s, bh_call *c, const bh_layer *l, const bh_score_in *i,
                         const bh_tensor *o) {
    (void)s, (void)c, (void)l, (void)i, (void)o;
    return BH_SKIP;
  }
  static const bh_scorer hooks = {.struct_size = sizeof hooks, .score = score};
  static const bh_plugin plugin = {.struct_size = sizeof plugin, .hook = BH_HOOK_SCORER,
    .id = ID, .name = ID, .summary = "Declines.", .granularities = BH_GRANULARITY_BIT_ELEMENT,
    .create = create, .destroy = destroy, .vtable = &hooks};
  static const bh_plugin *const list[] = {&plugin};
  static const bh_module module = {.magic = BH_MAGIC, .struct_size = sizeof module,
    .abi_major = BH_ABI_MAJOR, .min_minor = BH_TARGET_MINOR, .header_minor = BH_ABI_MINOR,
    .id = ID, .version = "1", .vendor = "Example", .license = "0BSD", .n_plugins = 1,
    .plugins = list};
  const bh_module *billhook_module_v1(void) { return &module; }

  """

/// A trust file and a cache of the benchmark's own, gone with it.
private final class TemporaryHome {
  let folder: String
  let home: PluginHome

  init() throws {
    folder =
      FileManager.default.temporaryDirectory
      .appendingPathComponent("billhook-benchmark-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    home = PluginHome(folder: folder)
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }
}
