import BillhookPlugins
import BillhookTensor
import Testing

@Suite struct PlainLossTests {
  private let student = Tensor([1, 2, 3, 4, 6, 5] as [Float], shape: [2, 3])
  private let teacher = Tensor([1, 1, 1, 1, 1, 1] as [Float], shape: [2, 3])

  private func compute(
    _ form: String, labels: Tensor? = nil, weights: Tensor? = nil
  ) throws -> (loss: Double, weight: Double, gradient: [Float]) {
    let loss = try plainPlugin(form, .loss).makeLoss()
    var gradient = Tensor(zeros: [2, 3])
    var features: [Tensor] = []
    let sums = try loss.compute(
      student: student, teacher: teacher, labels: labels, sampleWeights: weights,
      gradient: &gradient, featureGradients: &features, step: 0, totalSteps: 1)
    return (sums.lossSum, sums.weightSum, gradient.elements(of: Float.self))
  }

  @Test func `a function of the whole batch is a loss with its gradient`() throws {
    // Differences 0, 1, 2, 3, 5, 4: squares 55; the gradient is of the mean over two samples.
    let form =
      "double squared_error(const float* s, const float* t, size_t n, float* g)|"
      + "student.data,teacher.data,student.count,grad_student.data"
    let result = try compute(form)
    #expect(result.loss == 55)
    #expect(result.weight == 2)
    #expect(result.gradient == [0, 1, 2, 3, 5, 4])
    #expect(
      try plainPlugin(form, .loss).descriptor.needs == .teacher)
  }

  @Test func `a function of one sample leaves out those without a label and takes weights`() throws
  {
    let form =
      "void label_margin(const float* row, int classes, int label, double* loss, float* g)|"
      + "row.data,classes,row.label,loss.sum,row.out"
    // Row 1, 2, 3 with label 0: 2 - 1 + 1 and 3 - 1 + 1 are over.
    let labels = Tensor([0, -100] as [Int32])
    let result = try compute(form, labels: labels)
    #expect(result.loss == 5)
    #expect(result.weight == 1)
    #expect(result.gradient == [-2, 1, 1, 0, 0, 0])
    let both = try compute(
      form, labels: Tensor([0, 1] as [Int32]), weights: Tensor([1, 3] as [Float]))
    #expect(both.loss == 5)
    #expect(both.weight == 4)
    #expect(both.gradient == [-0.5, 0.25, 0.25, 0, 0, 0])
  }

  @Test func `a loss without a gradient is refused`() throws {
    let form =
      "double squared_error(const float* s, const float* t, size_t n, float* g)|"
      + "student.data,teacher.data,student.count,scratch:4*count"
    #expect(
      try refusal(form, .loss)
        == "The function \"squared_error\" cannot be used: nothing writes the gradient: bind "
        + "grad_student.data.")
  }
}
