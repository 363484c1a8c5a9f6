// y = weight x + bias; weight is (out, in).
static void apply_linear_dense(const float *x, float *y, int out, int in, const float *weight, const float *bias)
{
    for (int row = 0; row < out; row++) {
        float sum = bias ? bias[row] : 0.0f;
        for (int i = 0; i < in; i++)
            sum += *weight++ * x[i];
        y[row] = sum;
    }
}
