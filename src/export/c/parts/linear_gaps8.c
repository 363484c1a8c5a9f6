// y = weight x + bias; of each row the kept weights, and how many inputs each lies behind the one before, a byte each.
static void apply_linear_gaps8(const float *x, float *y, int out, const count *kept, const uint8_t *gaps,
                               const float *weight, const float *bias)
{
    for (int row = 0; row < out; row++) {
        const float *at = x;
        float sum = bias ? bias[row] : 0.0f;
        for (count i = kept[row]; i > 0; i--) {
            at += *gaps++;
            sum += *weight++ * *at;
        }
        y[row] = sum;
    }
}
