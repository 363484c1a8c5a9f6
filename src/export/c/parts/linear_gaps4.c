// y = weight x + bias; of each row the kept weights, and how many inputs each lies behind the one before, four bits
// each, the first of two in the lower half of a byte.
static void apply_linear_gaps4(const float *x, float *y, int out, const count *kept, const uint8_t *gaps,
                               const float *weight, const float *bias)
{
    int n = 0;
    for (int row = 0; row < out; row++) {
        const float *at = x;
        float sum = bias ? bias[row] : 0.0f;
        for (count i = kept[row]; i > 0; i--, n++) {
            at += (gaps[n / 2] >> (n % 2 * 4)) & 15;
            sum += weight[n] * *at;
        }
        y[row] = sum;
    }
}
