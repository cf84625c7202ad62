//! @name@: a scorer. Say here what a high score means, and where the method comes from.
use billhook::{
    bh_layer, bh_score_in, bh_tensor, Call, Failure, Instance, Outcome, Parameter, Scorer, Values,
};

struct Exponent(f64);

impl Instance for Exponent {
    fn new(values: &Values) -> Result<Self, Failure> { Ok(Self(values.f64(0))) }
}

impl Scorer for Exponent {
    fn score(
        &self, call: Call, layer: &bh_layer, input: &bh_score_in, scores: &bh_tensor,
    ) -> Outcome {
        // The host's kernels are vectorised, threaded and give the same bytes on any number of
        // threads.
        let kernels = call.kernels()?;
        let (weight, out) = unsafe {
            ((*input.weight).elements::<f32>(), scores.elements_mut::<f32>().as_mut_ptr())
        };
        let status = if input.granularity == billhook::GRANULARITY_ELEMENT {
            let count = weight.len() as i64;
            unsafe { (kernels.abs_power)(call.pointer(), weight.as_ptr(), count, self.0, out) }
        } else {
            let (outer, channels, inner) = layer.around(layer.out_axis);
            unsafe {
                (kernels.abs_power_sums)(
                    call.pointer(), weight.as_ptr(), outer, channels, inner, self.0, out)
            }
        };
        call.check(status)
    }
}

billhook::module!(
    "org.example.@name@.module", "1.0.0", "Example", "0BSD",
    [billhook::scorer::<Exponent>("org.example.@name@")
        .name("@name@")
        .summary("Weights near 0 matter least.")
        .caps(billhook::CAP_DETERMINISTIC | billhook::CAP_CONCURRENT | billhook::CAP_CHUNKED
            | billhook::CAP_DATA_FREE | billhook::CAP_GLOBAL_SCALE)
        .granularities(
            billhook::GRANULARITY_BIT_ELEMENT | billhook::GRANULARITY_BIT_OUT_CHANNEL)
        .parameter(Parameter::f64("exponent", "The power that |w| is raised to.", 1.0, 0.1, 8.0))]
);
