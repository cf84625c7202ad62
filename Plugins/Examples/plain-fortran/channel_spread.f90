! How far the weights of each output channel are spread: their standard deviation.
!
! A routine as Fortran programs have them. It knows nothing of Billhook;
! channel_spread.bhplug.json says how it is called.
subroutine channel_spread(weights, cols, rows, spread)
  implicit none
  integer, intent(in) :: cols, rows
  real, intent(in) :: weights(cols, rows)
  real, intent(out) :: spread(rows)
  integer :: row
  double precision :: mean

  do row = 1, rows
    spread(row) = 0
    if (cols == 0) cycle
    mean = sum(dble(weights(:, row))) / cols
    spread(row) = real(sqrt(sum((weights(:, row) - mean)**2) / cols))
  end do
end subroutine
