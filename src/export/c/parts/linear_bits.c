// y = weight x + bias; a bit for each of (out, in) says whether it is kept, and weight has those that are.
static void apply_linear_bits(const float *x, float *y, int out, int in, const uint8_t *bits, const float *weight,
                              const float *bias)
{
    for (int row = 0; row < out; row++, bits += (in + 7) / 8) {
        float sum = bias ? bias[row] : 0.0f;
        for (int i = 0; i < in; i++)
            if ((bits[i / 8] >> (i % 8)) & 1)
                sum += *weight++ * x[i];
        y[row] = sum;
    }
}
