// The mean of each window; what lies outside of the image counts as 0.
static void apply_average_pool(const struct window *k, const float *x, float *y)
{
    for (int channel = 0; channel < k->channels; channel++, x += k->height * k->width)
        for (int row = 0; row < k->out_height; row++)
            for (int col = 0; col < k->out_width; col++) {
                float sum = 0.0f;
                for (int tap = 0; tap < k->kernel * k->kernel; tap++) {
                    const int from = row * k->stride + tap / k->kernel - k->padding;
                    const int beside = col * k->stride + tap % k->kernel - k->padding;
                    if (from >= 0 && from < k->height && beside >= 0 && beside < k->width)
                        sum += x[from * k->width + beside];
                }
                *y++ = sum / (float)(k->kernel * k->kernel);
            }
}
