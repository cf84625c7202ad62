internal import BillhookSDK

extension PlainInstance {
  /// Loss and gradient of one batch.
  func compute(_ io: bh_loss_io, isCancelled: () -> Bool) throws(PlainFault) {
    guard let call = functions.plugin.call(.loss) else { return }
    let memory = PlainMemory()
    try PlainFrame.with { (frame) throws(PlainFault) in
      let student = PlainView(io.student.pointee)
      frame[.student] = student
      if let teacher = io.teacher { frame[.teacher] = PlainView(teacher.pointee) }
      if let labels = io.labels { frame[.labels] = PlainView(labels.pointee) }
      if let weights = io.sample_weight { frame[.sampleWeight] = PlainView(weights.pointee) }
      if call.uses(.teacher) || call.uses(.rowTeacher), io.teacher == nil {
        throw PlainFault("it needs a teacher, and there is none")
      }
      let readsLabels = call.uses(.labels) || call.bindings.contains(.integer(.rowLabel))
      if readsLabels, io.labels == nil { throw PlainFault("it needs labels, and there are none") }

      // A function writes its gradient whether somebody wants it or not.
      if let gradient = io.grad_student_out {
        frame[.gradStudent] = PlainView(gradient.pointee)
      } else {
        frame[.gradStudent] = PlainView(
          memory.allocate(student.bytes), rows: student.rows, cols: student.cols, elementBytes: 4)
      }
      frame[.batch] = student.rows
      frame[.classes] = student.cols
      frame.lossScale = io.grad_scale
      try withExtendedLifetime(memory) { () throws(PlainFault) in
        if call.mode == .rows {
          try computeRows(io, call, &frame, memory, readsLabels, isCancelled)
        } else {
          try computeWhole(io, call, &frame, memory, readsLabels)
        }
      }
    }
  }

  private func computeWhole(
    _ io: bh_loss_io, _ call: PlainCall, _ frame: inout PlainFrame, _ memory: PlainMemory,
    _ readsLabels: Bool
  ) throws(PlainFault) {
    let student = frame[.student]
    let weights = frame[.sampleWeight].data?.assumingMemoryBound(to: Float.self)
    if weights != nil, !call.uses(.sampleWeight) {
      throw PlainFault(
        "the samples have weights, which it does not take: bind sample_weight.data, or rows")
    }
    let labels = frame[.labels].data?.assumingMemoryBound(to: Int32.self)
    if readsLabels, let labels,
      let index = (0..<student.rows).first(where: { labels[$0] == BH_LABEL_IGNORED })
    {
      throw PlainFault(
        "sample \(index) has no label, which a function of the whole batch cannot leave out: "
          + "bind rows, or leave such samples out of the data")
    }
    var weight =
      weights.map { weights in (0..<student.rows).reduce(0) { $0 + Double(weights[$1]) } }
      ?? Double(student.rows)
    var loss = Double.nan
    try withSums(&frame, &loss, &weight) { (frame) throws(PlainFault) in
      let outcome = try run(.loss, &frame, memory)
      if call.returns == .value {
        frame[.lossSum].data!.storeBytes(of: outcome.number, as: Double.self)
      }
    }
    io.loss_sum_out.pointee = loss
    io.weight_sum_out.pointee = weight
    if !call.bindings.contains(where: { $0.target == .lossScale }) {
      scale(frame[.gradStudent], 0..<student.count, by: io.grad_scale)
    }
  }

  private func computeRows(
    _ io: bh_loss_io, _ call: PlainCall, _ frame: inout PlainFrame, _ memory: PlainMemory,
    _ readsLabels: Bool, _ isCancelled: () -> Bool
  ) throws(PlainFault) {
    let student = frame[.student]
    let gradient = frame[.gradStudent]
    let weights = frame[.sampleWeight].data?.assumingMemoryBound(to: Float.self)
    let labels = frame[.labels].data?.assumingMemoryBound(to: Int32.self)
    let isScaled = call.bindings.contains { $0.target == .lossScale }
    let losses = memory.allocate(student.rows * 8)!.assumingMemoryBound(to: Double.self)
    losses.update(repeating: 0, count: student.rows)
    func isLeftOut(_ row: Int) -> Bool { readsLabels && labels?[row] == BH_LABEL_IGNORED }

    var sum = Double.nan
    var unused = 0.0
    try withSums(&frame, &sum, &unused) { (frame) throws(PlainFault) in
      let place = frame[.lossSum].data!
      var rows = Rows(count: student.rows, cols: student.cols, outCols: student.cols)
      rows.skips = isLeftOut
      rows.finish = { row, outcome in
        losses[row] = call.returns == .value ? outcome.number : place.load(as: Double.self)
      }
      try run(.loss, &frame, memory, rows: rows, isCancelled: isCancelled)
    }
    var loss = 0.0
    var weight = 0.0
    for row in 0..<student.rows {
      let range = row * student.cols..<(row + 1) * student.cols
      if isLeftOut(row) {
        gradient.data?.assumingMemoryBound(to: Float.self)
          .advanced(by: range.lowerBound).update(repeating: 0, count: range.count)
        continue
      }
      let factor = weights.map { Double($0[row]) } ?? 1
      loss += factor * losses[row]
      weight += factor
      let scale = isScaled ? factor : factor * io.grad_scale
      if scale != 1 { self.scale(gradient, range, by: scale) }
    }
    io.loss_sum_out.pointee = loss
    io.weight_sum_out.pointee = weight
  }

  /// Gives the two sums an address while `body` runs.
  private func withSums(
    _ frame: inout PlainFrame, _ loss: inout Double, _ weight: inout Double,
    _ body: (inout PlainFrame) throws(PlainFault) -> Void
  ) throws(PlainFault) {
    let sums = UnsafeMutablePointer<Double>.allocate(capacity: 2)
    defer { sums.deallocate() }
    sums[0] = loss
    sums[1] = weight
    frame[.lossSum] = PlainView(sums, rows: 1, cols: 1, elementBytes: 8)
    frame[.lossWeight] = PlainView(sums + 1, rows: 1, cols: 1, elementBytes: 8)
    try body(&frame)
    loss = sums[0]
    weight = sums[1]
  }

  private func scale(_ view: PlainView, _ range: Range<Int>, by factor: Double) {
    guard let data = view.data?.assumingMemoryBound(to: Float.self) else { return }
    let factor = Float(factor)
    for index in range { data[index] *= factor }
  }
}
