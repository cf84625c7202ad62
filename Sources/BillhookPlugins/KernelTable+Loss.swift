internal import BillhookKernels
internal import BillhookSDK

extension KernelTable {
  static let softTargetLoss: @convention(c) (Call?, UnsafePointer<bh_soft_target>?) -> bh_status = {
    call, pointer in
    guard let pointer else { return invalidLoss(call, "the arguments are null") }
    let given = copyStruct(
      bh_soft_target.self, from: UnsafeRawPointer(pointer), theirSize: pointer.pointee.struct_size,
      zero: bh_soft_target())
    guard let lossSum = given.loss_sum, let weightSum = given.weight_sum else {
      return invalidLoss(call, "loss_sum or weight_sum is null")
    }
    guard given.rows >= 0, given.classes > 0 || given.rows == 0 else {
      return invalidLoss(call, "the logits are [\(given.rows), \(given.classes)]")
    }
    lossSum.pointee = 0
    weightSum.pointee = 0
    guard given.rows > 0 else { return BH_OK }
    return loss(call, given, lossSum, weightSum)
  }

  private static func invalidLoss(_ call: Call?, _ what: String) -> bh_status {
    fail(call, BH_E_INVALID_ARG, "\(BH_EXT_KERNELS) soft_target_loss: \(what)")
  }

  private static func loss(
    _ call: Call?, _ given: bh_soft_target, _ lossSum: UnsafeMutablePointer<Double>,
    _ weightSum: UnsafeMutablePointer<Double>
  ) -> bh_status {
    let rows = Int(given.rows)
    // The kernel core has wide labels, because ONNX has; the ABI's are as narrow as classes need.
    return withUnsafeTemporaryAllocation(of: Int64.self, capacity: rows) { labels in
      for row in 0..<rows where given.labels != nil { labels[row] = Int64(given.labels[row]) }
      return withUnsafeTemporaryAllocation(of: Double.self, capacity: rows) { losses in
        var task = bh_distillation()
        task.student = given.student
        task.teacher = given.teacher
        task.labels = given.labels == nil ? nil : UnsafePointer(labels.baseAddress!)
        task.row_weights = given.sample_weight
        task.rows = given.rows
        task.classes = given.classes
        task.temperature = Float(given.temperature)
        task.alpha = Float(given.alpha)
        task.scale = Float(given.grad_scale)
        task.gradient = given.grad
        var result = bh_distillation_result()
        if given.sample_weight != nil || given.grad_scale == 0 {
          // The losses of the rows carry the gradient's factor, which the sum must not have: so
          // they are asked for by themselves.
          var sums = task
          sums.scale = 1
          sums.gradient = nil
          sums.row_losses = losses.baseAddress
          guard bh_distillation_loss_f32(&sums, &result) == 0 else {
            return brokenRule(call, given)
          }
          lossSum.pointee = losses.reduce(0, +)
          guard bh_distillation_loss_f32(&task, &result) == 0 else {
            return brokenRule(call, given)
          }
        } else {
          guard bh_distillation_loss_f32(&task, &result) == 0 else {
            return brokenRule(call, given)
          }
          let soft = given.alpha == 1 ? 0 : result.divergence
          let hard = given.alpha == 0 ? 0 : result.cross_entropy
          lossSum.pointee =
            (1 - given.alpha) * given.temperature * given.temperature * soft + given.alpha * hard
        }
        weightSum.pointee = weight(given)
        return BH_OK
      }
    }
  }

  private static func weight(_ given: bh_soft_target) -> Double {
    var sum = 0.0
    for row in 0..<Int(given.rows) {
      if given.alpha == 1, given.labels[row] == BillhookSDK.BH_LABEL_IGNORED { continue }
      sum += given.sample_weight == nil ? 1 : Double(given.sample_weight[row])
    }
    return sum
  }

  private static func brokenRule(_ call: Call?, _ given: bh_soft_target) -> bh_status {
    invalidLoss(
      call,
      """
      a pointer is null that its alpha (\(given.alpha)) needs, the temperature \
      (\(given.temperature)) is not above 0, or a label is not from 0 to \(given.classes - 1)
      """)
  }
}
