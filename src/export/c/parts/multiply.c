static void apply_multiply(const float *a, const float *b, float *y, int len)
{
    for (int i = 0; i < len; i++)
        y[i] = a[i] * b[i];
}
