internal import BillhookSDK
internal import Glibc

/// Tries the functions of a plain plugin on made-up values, in a process that is there for nothing
/// else, before any real data: sizes 0, 1, 2, 3, 17 and 4096, outputs between guard pages, inputs
/// that cannot be written.
///
/// A function that crashes or hangs ends the process; the report says what it was about.
struct PlainProbe {
  /// How the process of a probe came to its end.
  enum Ending {
    case returned
    case exit(Int32)
    case signal(Int32)
  }

  private static let counts = [0, 1, 2, 3, 17, 4096]
  /// A function that has not returned by then hangs.
  static let secondLimit: UInt32 = 10

  let functions: PlainFunctions
  let report: ProbeReport

  /// For the signal handler, which gets no argument of ours.
  nonisolated(unsafe) private static var words: UnsafeMutablePointer<Int>?

  func run() {
    Self.words = report.words
    prepareProcess()
    alarm(Self.secondLimit)
    defer { alarm(0) }
    do throws(PlainFault) {
      let instance = try PlainInstance(functions, parameters, seed: 1, threads: 1)
      for count in Self.counts {
        report.count = count
        try probe(instance, count)
      }
      report.stage = .done
    } catch {
      report.fail(error.reason)
    }
  }

  private func prepareProcess() {
    var action = sigaction()
    action.sa_flags = SA_SIGINFO
    action.__sigaction_handler.sa_sigaction = { number, info, _ in
      if let info {
        PlainProbe.words?[3] = Int(bitPattern: info.pointee._sifields._sigfault.si_addr)
      }
      signal(number, SIG_DFL)
      raise(number)
    }
    for number in [SIGSEGV, SIGBUS] { sigaction(number, &action, nil) }
    for number in [SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGALRM] { signal(number, SIG_DFL) }
    var none = sigset_t()
    sigemptyset(&none)
    sigaddset(&none, SIGSEGV)
    sigaddset(&none, SIGBUS)
    sigprocmask(SIG_UNBLOCK, &none, nil)
  }

  /// Defaults; a parameter without one gets a legal value.
  private var parameters: [ParameterValue] {
    functions.plugin.parameters.map { parameter in
      guard parameter.isRequired else { return parameter.defaultValue }
      let low = parameter.range.lowerBound
      let high = parameter.range.upperBound
      let value = low.isFinite ? max(low, min(high, 1)) : min(high, 1)
      switch parameter.kind {
      case .double: return .double(value)
      case .bool: return .bool(true)
      default: return .int(Int64(value))
      }
    }
  }

  private func probe(_ instance: PlainInstance, _ count: Int) throws(PlainFault) {
    switch functions.plugin.hook {
    case .scorer:
      for granularity in functions.plugin.granularities {
        try twice(.scorer) { (set) throws(PlainFault) in
          try scorer(instance, granularity, count, set)
        }
      }
    case .loss:
      try twice(.loss) { (set) throws(PlainFault) in try loss(instance, count, set) }
    case .quantizer: try quantizer(instance, count)
    }
  }

  /// Runs a call with the outputs at the end of their pages and then at the start, with another
  /// filling, so that a byte that stays as it was both times was not written.
  private func twice(
    _ role: PlainRole, _ body: (ProbeTensors) throws(PlainFault) -> Void
  ) throws(PlainFault) {
    report.role = PlainRole.allCases.firstIndex(of: role)!
    var untouched: [PlainTensor: [Int]] = [:]
    for placement in [GuardedBlock.Placement.atEnd, .atStart] {
      report.stage = .preparing
      report.forgetRegions()
      let tensors = ProbeTensors(placement, report)
      try body(tensors)
      report.stage = .checking
      for output in tensors.outputs {
        guard output.block.isIntact else {
          throw PlainFault("it wrote outside of \"\(output.tensor.name)\"")
        }
        let places = output.untouched
        untouched[output.tensor] =
          untouched[output.tensor].map { $0.filter(places.contains) } ?? places
      }
    }
    for (tensor, places) in untouched.sorted(by: { $0.key.index < $1.key.index }) {
      if let first = places.first {
        throw PlainFault("it left element \(first) of \"\(tensor.name)\" unwritten")
      }
    }
  }

  private func scorer(
    _ instance: PlainInstance, _ granularity: Granularity, _ count: Int, _ tensors: ProbeTensors
  ) throws(PlainFault) {
    let isElement = granularity == .element
    let rows = count == 4096 ? 64 : isElement ? 1 : 3
    let shape = [rows, count == 4096 ? 64 : count]
    let scoreShape = isElement ? shape : [granularity == .outputChannel ? shape[0] : shape[1]]
    var input = bh_score_in()
    input.struct_size = UInt32(MemoryLayout<bh_score_in>.size)
    input.granularity = granularity.code
    input.weight = try tensors.input(.weight, shape)
    let needs = functions.plugin.needs
    if needs.contains(.weightGradient) { input.grad = try tensors.input(.grad, shape) }
    if needs.contains(.previousMask) {
      input.mask = try tensors.input(.mask, shape, positive: true)
    }
    if needs.contains(.inputAbsMean) {
      input.in_abs_mean = try tensors.input(.inputAbsMean, [shape[1]], positive: true)
    }
    if needs.contains(.inputSquaredNorm) {
      input.in_sq_norm = try tensors.input(.inputSquaredNorm, [shape[1]], positive: true)
    }
    if needs.contains(.outputAbsMean) {
      input.out_abs_mean = try tensors.input(.outputAbsMean, [shape[0]], positive: true)
    }
    if needs.contains(.outputZeroFraction) {
      input.out_zero_fraction = try tensors.input(.outputZeroFraction, [shape[0]], positive: true)
    }
    input.n_samples = 10
    let scores = try tensors.output(.scores, scoreShape)
    var layer = bh_layer()
    layer.struct_size = UInt32(MemoryLayout<bh_layer>.size)
    layer.in_axis = 1
    layer.groups = 1
    report.stage = .calling
    try instance.score(layer, input, scores.pointee, isCancelled: { false })
  }

  private func loss(
    _ instance: PlainInstance, _ count: Int, _ tensors: ProbeTensors
  ) throws(PlainFault) {
    let classes = 10
    let shape = [count, classes]
    var io = bh_loss_io()
    io.struct_size = UInt32(MemoryLayout<bh_loss_io>.size)
    io.flags = BH_LOSS_WANT_GRAD
    io.student = try tensors.input(.student, shape)
    io.teacher = try tensors.input(.teacher, shape)
    io.labels = try tensors.labels(count, classes: classes)
    io.grad_scale = 1
    let call = functions.plugin.call(.loss)
    if call?.uses(.sampleWeight) == true {
      io.sample_weight = try tensors.input(.sampleWeight, [count], positive: true)
    }
    io.grad_student_out = UnsafePointer(try tensors.output(.gradStudent, shape))
    var sums = (0.0, 0.0)
    try withUnsafeMutablePointer(to: &sums.0) { (loss) throws(PlainFault) in
      try withUnsafeMutablePointer(to: &sums.1) { (weight) throws(PlainFault) in
        io.loss_sum_out = loss
        io.weight_sum_out = weight
        report.stage = .calling
        try instance.compute(io, isCancelled: { false })
      }
    }
    guard sums.0.isFinite else { throw PlainFault("its loss is \(sums.0)") }
  }

  private func quantizer(_ instance: PlainInstance, _ count: Int) throws(PlainFault) {
    let plugin = functions.plugin
    let rows = count == 4096 ? 64 : count > 0 ? 2 : 0
    let shape = [rows, rows > 0 ? count == 4096 ? 64 : count : 32]
    let values = shape[0] * shape[1]
    var layer = bh_layer()
    layer.struct_size = UInt32(MemoryLayout<bh_layer>.size)
    layer.in_axis = 1
    layer.groups = 1
    layer.role = UInt32(BH_ROLE_WEIGHT)
    var layout = bh_qlayout()
    layout.max_bits = 8
    try instance.layout(layer, &layout)
    let packedShape =
      plugin.block.map { [(values + $0.values - 1) / $0.values, $0.bytes] } ?? shape
    let scaleShape = plugin.layout?.isPerChannel == true ? [shape[0]] : []
    var packedBytes: [UInt8] = []
    var scale: [Float] = []
    var zero: [UInt8] = []
    if plugin.block == nil {
      try twice(.calibrate) { (tensors) throws(PlainFault) in
        var parameters = bh_qparams()
        parameters.scale = UnsafePointer(try tensors.output(.scale, scaleShape))
        parameters.zero_point = UnsafePointer(
          try tensors.output(.zeroPoint, scaleShape, elementBytes: 1))
        report.stage = .calling
        try instance.calibrate(
          layout, try tensors.input(.weight, shape).pointee, parameters, isCancelled: { false })
        scale = Array(
          UnsafeRawBufferPointer(tensors.outputs[0].bytes).bindMemory(to: Float.self))
        zero = Array(UnsafeRawBufferPointer(tensors.outputs[1].bytes))
      }
    }
    func parameters(_ tensors: ProbeTensors) throws(PlainFault) -> bh_qparams {
      var parameters = bh_qparams()
      guard plugin.block == nil else { return parameters }
      parameters.scale = try tensors.input(
        .scale, scaleShape, bytes: scale.withUnsafeBytes { Array($0) })
      parameters.zero_point = try tensors.input(
        .zeroPoint, scaleShape, elementBytes: 1, bytes: zero)
      return parameters
    }
    try twice(.quantize) { (tensors) throws(PlainFault) in
      let packed = try tensors.output(.q, packedShape, elementBytes: 1)
      let weight = try tensors.input(.weight, shape)
      let given = try parameters(tensors)
      report.stage = .calling
      try instance.quantize(layout, given, weight.pointee, packed.pointee, isCancelled: { false })
      packedBytes = Array(UnsafeRawBufferPointer(tensors.outputs[0].bytes))
    }
    try twice(.dequantize) { (tensors) throws(PlainFault) in
      let packed = try tensors.input(.q, packedShape, elementBytes: 1, bytes: packedBytes)
      let weight = try tensors.output(.weight, shape)
      let given = try parameters(tensors)
      report.stage = .calling
      try instance.dequantize(layout, given, packed.pointee, weight.pointee, isCancelled: { false })
    }
  }
}
