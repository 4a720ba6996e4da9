#include "runtime/cache/BlockPool.h"

#include <gtest/gtest.h>

namespace gqa::cache {
namespace {

TEST(BlockPool, HandsOutAllOrNothing) {
  BlockPool pool(3);
  int32_t blocks[4] = {-1, -1, -1, -1};
  EXPECT_FALSE(pool.tryAcquire(blocks, 4));
  EXPECT_EQ(pool.getNumFree(), 3);
  EXPECT_EQ(blocks[0], -1);
  ASSERT_TRUE(pool.tryAcquire(blocks, 3));
  EXPECT_EQ(blocks[0], 0) << "from the start of the memory on";
  EXPECT_EQ(pool.getNumFree(), 0);
  EXPECT_FALSE(pool.tryAcquire(blocks, 1));
  EXPECT_TRUE(pool.tryAcquire(blocks, 0));
}

TEST(BlockPool, ABlockIsFreeWithoutReferences) {
  BlockPool pool(1);
  int32_t block;
  ASSERT_TRUE(pool.tryAcquire(&block, 1));
  EXPECT_EQ(pool.getReferences(block), 1);
  pool.retain(block);
  EXPECT_EQ(pool.getReferences(block), 2);
  pool.release(block);
  EXPECT_EQ(pool.getReferences(block), 1);
  EXPECT_EQ(pool.getNumFree(), 0);
  pool.release(block);
  EXPECT_EQ(pool.getNumFree(), 1);
  EXPECT_TRUE(pool.tryAcquire(&block, 1));
}

} // namespace
} // namespace gqa::cache
