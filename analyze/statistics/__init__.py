"""Statistics whose unit is the image: arrays and the table `samples` in, intervals and p values out.

distributions  quantiles by scipy, which is imported late; ranks
clusters       the image of each sample, the category of each image; sums over images
bootstrap      resampled images: standard errors and intervals of means and paired differences
intervals      of means from sums over images, without resampling; of shares, such as accuracy and score
heads          many heads: which means are told from 0, which is the highest, values permuted within layers
multiplicity   many heads at once: sign flips with the maximum statistic, false discovery rate
contrasts      right answers against wrong ones: the contrast free of the question's polarity
reliability    split halves, samples needed, correlation without noise
calibration    reliability curve, ECE, Brier score
losses         bounds of what a score lost, where few images changed
"""
